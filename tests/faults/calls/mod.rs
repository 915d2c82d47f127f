//! Every write, sync and rename of the hub and of its commands failed, or stopped, in turn (T-S7): what was acknowledged
//! is there, the log holds, and a command that was cut off is run again and has done all or nothing.

mod commands;
mod serving;
pub(crate) mod strace;

use std::collections::BTreeMap;

use crate::calls::commands::Command;
use crate::calls::commands::Stage;
use crate::calls::strace::Fault;
use crate::calls::strace::Point;
use crate::trials::Lane;
use crate::trials::Trials;

/// Rounds of the commit lane.
const SAMPLE: u64 = 25;

/// What is traced: the hub that serves, or one of its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Serve,
    Run(Command),
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_that_changes_the_disk_may_fail_or_be_the_last() {
    let stage = Stage::new().await;
    let mut points: BTreeMap<Subject, Vec<Point>> = BTreeMap::new();
    points.insert(Subject::Serve, serving::count(&stage).await);
    for command in Command::ALL {
        points.insert(Subject::Run(command), stage.count(command).await);
    }
    let each = |(subject, points): (&Subject, &Vec<Point>)| {
        let of_one = |point: &Point| Fault::ALL.map(|fault| (*subject, point.clone(), fault));
        points.iter().flat_map(of_one).collect::<Vec<_>>()
    };
    for (subject, points) in &points {
        println!("{subject:?}: {} calls", points.len());
        assert!(points.len() > 3, "{subject:?} was not traced");
    }
    let all: Vec<(Subject, Point, Fault)> = points.iter().flat_map(each).collect();
    let count = u64::try_from(all.len()).expect("a number");
    let mut trials = Trials::of("calls", SAMPLE, count);
    let mut struck = 0;
    while let Some(mut round) = trials.next() {
        // A sample has some of each subject; on demand each comes in turn.
        let (subject, point, fault) = if Lane::of_this_run() == Lane::Commit {
            let subjects: Vec<_> = points.iter().map(each).collect();
            let own = &subjects[usize::try_from(round.number).expect("a number") % subjects.len()];
            let at = round.below(u64::try_from(own.len()).expect("a number"));
            own[usize::try_from(at).expect("a place")].clone()
        } else {
            all[usize::try_from(round.number % count).expect("a place")].clone()
        };
        let Point { call, path, number } = &point;
        println!("{subject:?}: {call} {} {number} {}", path.display(), fault.name());
        let ended = match subject {
            Subject::Serve => serving::try_one(&stage, (&point, fault)).await,
            Subject::Run(command) => stage.try_one(command, (&point, fault)).await,
        };
        println!("{}", ended.name());
        struck += u64::from(ended != strace::Ended::Code(0));
        round.note("subject", format!("{subject:?}"));
        round.note("call", call.clone());
        round.note("file", path.display().to_string());
        round.note("fault", fault.name());
        round.note("ended", ended.name());
        round.note("lost", 0);
        trials.keep(round);
    }
    let rounds = trials.finish();
    println!("{struck} of {rounds} struck");
    assert!(struck * 4 >= rounds, "too few of the faults struck");
}
