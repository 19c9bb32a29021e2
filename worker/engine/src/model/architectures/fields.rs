//! Reads `config.json` fields that many architectures share.

use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    Activation, HeadNormOrder, HeadNormSpec, HeadNormWeights, HeadWeight, ModelSpec, NormKind,
    Pairing,
};

/// Reads the activation in `field`, or takes the one that transformers assumes.
pub(super) fn activation(
    config: &ConfigFile,
    field: &str,
    default: &str,
) -> Result<Activation, Error> {
    let name = config.optional_text(field)?.unwrap_or(default);
    Activation::from_name(name).ok_or_else(|| {
        config.refused(format!(
            "`{field}` is `{name}`, an activation whence does not have"
        ))
    })
}

/// Number of query heads, number of key and value heads, and width of a head.
pub(super) type HeadSizes = (usize, usize, usize);

/// Reads the sizes of the attention heads from fields named as Llama's. Fails if they are
/// inconsistent.
pub(super) fn head_sizes(config: &ConfigFile, hidden: usize) -> Result<HeadSizes, Error> {
    let heads = config.size("num_attention_heads")?;
    let kv_heads = config
        .optional_size("num_key_value_heads")?
        .unwrap_or(heads);
    if !heads.is_multiple_of(kv_heads) {
        return Err(config.refused(format!(
            "{heads} attention heads cannot share {kv_heads} key-value heads"
        )));
    }
    let head_dim = match config.optional_size("head_dim")? {
        Some(dim) => dim,
        None => head_dim(config, hidden, heads)?,
    };
    Ok((heads, kv_heads, head_dim))
}

/// Returns the width of each of `heads` heads that share `hidden`. Fails if it is not a whole
/// number.
pub(super) fn head_dim(config: &ConfigFile, hidden: usize, heads: usize) -> Result<usize, Error> {
    if !hidden.is_multiple_of(heads) {
        return Err(config.refused(format!(
            "{heads} attention heads do not divide a width of {hidden}"
        )));
    }
    Ok(hidden / heads)
}

/// Returns norms on each head of queries and keys alone, before the rotation, with one set of
/// weights for all heads: the tensors `names`, of queries and of keys, in the attention `prefix`.
pub(super) fn head_norms(
    prefix: &str,
    names: [&str; 2],
    kind: NormKind,
    epsilon: f64,
) -> HeadNormSpec {
    let [queries, keys] = names.map(|name| HeadNormWeights::Shared(format!("{prefix}.{name}")));
    HeadNormSpec {
        kind,
        epsilon,
        is_joint: false,
        order: HeadNormOrder::BeforeRotation,
        queries,
        keys,
    }
}

/// Makes the model rotate pairs of neighboring entries instead of entries half a head apart.
pub(super) fn rotate_neighbors(model: &mut ModelSpec) {
    for rotation in &mut model.decoder.rotations {
        rotation.pairing = Pairing::Neighbours;
    }
}

/// Returns where the head's weight is. If `tie_word_embeddings` is set, that is the embedding,
/// unless the checkpoint has a separate weight: transformers does not tie weights it finds
/// separate.
pub(super) fn head_weight(
    config: &ConfigFile,
    name: &str,
    tied_by_default: bool,
) -> Result<HeadWeight, Error> {
    let is_tied = config.flag_or("tie_word_embeddings", tied_by_default)?;
    let name = name.to_owned();
    Ok(if is_tied {
        HeadWeight::OwnOrTied(name)
    } else {
        HeadWeight::Own(name)
    })
}

/// Fails if the flag `field` is not `served`, the only value that is supported.
pub(super) fn require(config: &ConfigFile, field: &str, served: bool) -> Result<(), Error> {
    if config.flag_or(field, served)? == served {
        return Ok(());
    }
    Err(config.refused(format!("`{field}` is {}, which is not supported", !served)))
}

/// Reads the attention window of each of `layers` layers, in keys; `None` means no limit. The
/// window is `window` in layers that `layer_types` calls `sliding_attention`. If the file has no
/// such list, `slides` tells which layers have a window.
pub(super) fn windows(
    config: &ConfigFile,
    layers: usize,
    window: Option<usize>,
    slides: impl Fn(usize) -> bool,
) -> Result<Vec<Option<usize>>, Error> {
    let Some(types) = config.optional_texts("layer_types")? else {
        return Ok((0..layers)
            .map(|layer| window.filter(|_| slides(layer)))
            .collect());
    };
    if types.len() != layers {
        return Err(config.refused(format!(
            "`layer_types` has {} entries for {layers} layers",
            types.len()
        )));
    }
    let of_type = |kind: &str| match kind {
        "sliding_attention" => Ok(window),
        "full_attention" => Ok(None),
        _ => Err(config.refused(format!(
            "`layer_types` names `{kind}`, an attention whence does not have"
        ))),
    };
    types.into_iter().map(of_type).collect()
}

/// Reads the size `field`, or `default` if the field is absent. An explicit `null` gives `None`.
pub(super) fn size_or(
    config: &ConfigFile,
    field: &str,
    default: usize,
) -> Result<Option<usize>, Error> {
    if config.has(field) {
        config.optional_size(field)
    } else {
        Ok(Some(default))
    }
}

/// Reads the number `field`, or `default` if the field is absent. An explicit `null` gives `None`.
pub(super) fn number_or(
    config: &ConfigFile,
    field: &str,
    default: f64,
) -> Result<Option<f64>, Error> {
    if config.has(field) {
        config.optional_number(field)
    } else {
        Ok(Some(default))
    }
}

/// Reads which row of a position table transformers reserves for padding: `pad_token_id`, or
/// `default` if the field is absent. An explicit `null` gives `None`.
///
/// Fails if the table, of `rows` rows, does not have that row. transformers fails then as well.
/// Fails if the table of `rows` rows does not have it, where transformers fails too.
pub(super) fn padding_row(
    config: &ConfigFile,
    rows: usize,
    default: usize,
) -> Result<Option<usize>, Error> {
    const FIELD: &str = "pad_token_id";
    if !config.has(FIELD) {
        return Ok(Some(default));
    }
    let row = match config.token_ids(FIELD)?.as_slice() {
        [] => return Ok(None),
        [id] => *id as usize,
        ids => {
            return Err(config.refused(format!("`{FIELD}` is {ids:?}, expected one token id")));
        }
    };
    if row < rows {
        return Ok(Some(row));
    }
    Err(config.refused(format!(
        "`{FIELD}` is {row}, and the table of positions, whose row of that number stands for \
         padding, has {rows} rows"
    )))
}

/// Reads an integer that may be 0, or takes `default` if the file does not have it.
pub(super) fn index_or(config: &ConfigFile, field: &str, default: usize) -> Result<usize, Error> {
    let Some(number) = config.optional_number(field)? else {
        return Ok(default);
    };
    let is_index = number >= 0.0 && number.fract() == 0.0;
    if !is_index {
        return Err(config.refused(format!("`{field}` is {number}, expected 0, 1, 2, …")));
    }
    Ok(number as usize)
}

/// Reads a size from the first of `names` that the file has.
pub(super) fn size_of(config: &ConfigFile, names: &[&str]) -> Result<usize, Error> {
    for name in names {
        if let Some(size) = config.optional_size(name)? {
            return Ok(size);
        }
    }
    config.size(names[0])
}
