//! `whence sweep plan` and `whence sweep status`: which jobs the cells are, and how far each is.

use super::super::stop::unless_stopped;
use super::cells_table::Cells;
use super::planning::plan;
use super::states;
use crate::Failure;
use crate::args::{ProgressMode, SweepLook};
use crate::remote::Address;
use crate::sweep::Sweep;

pub(super) async fn run(arguments: SweepLook) -> Result<(), Failure> {
    let sweep = Sweep::read(&arguments.file)?;
    let cluster = arguments.cluster.as_deref().map(|url| Address {
        url,
        access: &arguments.access,
    });
    let looked = async {
        let mut planned = plan(&sweep, ProgressMode::Auto, |_| Ok(())).await;
        let root = &arguments.storage.root;
        let states = states::of_jobs(cluster, root, planned.specs()).await?;
        planned.follow_retries(&states);
        Ok((planned, states))
    };
    let looked = unless_stopped(Box::pin(looked), "nothing was changed").await;
    let (planned, states) = looked?;
    let cells = Cells {
        sweep: &sweep,
        planned: &planned,
        states: &states,
        is_served: cluster.is_some(),
    };
    if arguments.json {
        return cells.tell_json();
    }
    cells.tell()
}
