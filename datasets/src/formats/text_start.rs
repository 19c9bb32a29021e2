//! Where the text of a text file starts, and whether it is UTF-8 at all.

use crate::Error;
use crate::content::{SharedContent, unreadable};

/// The bytes that mark UTF-8 at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns the offset of the first byte after the byte order mark: 0 if there is none.
///
/// Fails if the file is UTF-16, because each of its lines would otherwise be a bad row.
pub(super) fn text_start(content: &SharedContent) -> Result<u64, Error> {
    let start = content.read_range(0..content.num_bytes().min(4));
    let start = start.map_err(unreadable(content))?;
    let order = match &*start {
        // Without a mark, the first two characters tell: texts begin with ASCII ones.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [1..=0x7f, 0, 1..=0x7f, 0] => Some("utf-16"),
        [0, 1..=0x7f, 0, 1..=0x7f] => Some("utf-16-be"),
        _ => None,
    };
    if let Some(order) = order {
        return Err(Error::Format {
            path: content.name().into(),
            reason: format!(
                "it is UTF-16, not UTF-8; set the option `encoding` to `{order}`, or convert it: \
                 iconv -f utf-16 -t utf-8"
            ),
        });
    }
    let has_mark = start.starts_with(BYTE_ORDER_MARK);
    Ok(if has_mark {
        BYTE_ORDER_MARK.len() as u64
    } else {
        0
    })
}
