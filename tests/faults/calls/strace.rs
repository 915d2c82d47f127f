//! A program under strace: its calls that change what is on a disk are counted, and then one of them fails or is the
//! last.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Child;
use tokio::process::Command;

/// What changes a disk. Of `openat` only what makes a file counts.
const CALLS: &str = "write,writev,pwrite64,pwritev,fsync,fdatasync,syncfs,sync_file_range,rename,renameat,renameat2,\
                     ftruncate,fallocate,unlink,unlinkat,rmdir,mkdir,mkdirat,openat";
/// What is written to, and is no file.
const NO_FILES: [&str; 6] = ["<pipe:", "<socket:", "<anon_inode:", "<TCP", "<UNIX", "</dev/null>"];
/// How long any program here may take. One that hangs is a fault of its own.
const DEADLINE: Duration = Duration::from_secs(90);

/// One call of a run: the so-manieth of its kind in its thread, which is how strace counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) call: String,
    pub(crate) number: u64,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails with an input/output error.
    Error,
    /// The process is killed instead of it; all before it were made.
    Kill,
}

impl Fault {
    pub(crate) const ALL: [Self; 2] = [Self::Error, Self::Kill];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "EIO",
            Self::Kill => "SIGKILL",
        }
    }
}

/// How a traced program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(i32),
    Killed,
}

impl Ended {
    pub(crate) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(9)) => Self::Killed,
            (None, signal) => panic!("it ended with signal {signal:?}"),
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Code(code) => format!("exit {code}"),
            Self::Killed => "killed".to_owned(),
        }
    }
}

/// A program that runs under strace.
pub(crate) struct Traced {
    child: Child,
    trace: PathBuf,
}

impl Traced {
    /// Starts it. With `paths` only calls about those count; what it says on standard error goes to a file.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&OsStr],
        folder: &Path,
        paths: &[PathBuf],
        fault: Option<(&Point, Fault)>,
    ) -> Self {
        let trace = folder.join("trace");
        let said = std::fs::File::options().create(true).append(true).open(folder.join("said"));
        let mut command = Command::new("strace");
        // Without its filter in the kernel, with which it kills nothing.
        command.args(["-f", "-y", "-e", "signal=none", "-e"]);
        command.arg(format!("trace={CALLS}")).arg("-o").arg(&trace);
        for path in paths {
            command.arg("-P").arg(path);
        }
        if let Some((Point { call, number }, fault)) = fault {
            let what = match fault {
                Fault::Error => "error=EIO",
                Fault::Kill => "signal=KILL",
            };
            command.arg(format!("--inject={call}:{what}:when={number}"));
        }
        command.arg("--").arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.expect("a file"));
        Self { child: command.spawn().expect("strace runs: apt-get install strace"), trace }
    }

    /// Starts a program whose syncs of one file each take so much longer: what is written lies there unsynced meanwhile.
    pub(crate) fn delayed(
        program: &Path,
        arguments: &[&OsStr],
        folder: &Path,
        path: &Path,
        delay: Duration,
    ) -> Self {
        let trace = folder.join("trace");
        let said = std::fs::File::options().create(true).append(true).open(folder.join("said"));
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "signal=none", "-e", "trace=fdatasync", "-o"]).arg(&trace);
        command.arg("-P").arg(path);
        command.arg(format!("--inject=fdatasync:delay_enter={}", delay.as_micros()));
        command.arg("--").arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.expect("a file"));
        Self { child: command.spawn().expect("strace runs: apt-get install strace"), trace }
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is asked").is_some()
    }

    /// The program's own process.
    fn program(&self) -> Option<String> {
        let id = self.child.id()?;
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }

    /// Sends the program a signal, if it still runs.
    pub(crate) fn signal(&self, name: &str) {
        let Some(program) = self.program() else { return };
        // It may end in between.
        let _gone = std::process::Command::new("kill").args([name, &program]).status();
    }

    /// Waits until it ends; a program that does not is ended, and that fails the test.
    pub(crate) async fn ended(&mut self) -> Ended {
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let Ok(status) = ended else {
            self.signal("-KILL");
            panic!("it hangs");
        };
        Ended::of(status.expect("it is waited for"))
    }

    /// The call that the fault met.
    pub(crate) fn struck(&self) -> Option<String> {
        let trace = std::fs::read_to_string(&self.trace).expect("a trace");
        trace.lines().find(|line| line.ends_with("(INJECTED)")).map(str::to_owned)
    }

    /// The calls that it made.
    pub(crate) fn points(&self) -> Vec<Point> {
        points(&std::fs::read_to_string(&self.trace).expect("a trace"))
    }

    /// The files that it changed, of those in a folder.
    pub(crate) fn paths(&self, folder: &Path) -> Vec<PathBuf> {
        let trace = std::fs::read_to_string(&self.trace).expect("a trace");
        let begin = folder.to_str().expect("a path in UTF-8");
        let words = trace.split(['<', '>', '"']);
        let paths: BTreeSet<&str> = words.filter(|word| word.starts_with(begin)).collect();
        paths.into_iter().map(PathBuf::from).collect()
    }
}

impl Drop for Traced {
    /// strace would leave its program behind.
    fn drop(&mut self) {
        self.signal("-KILL");
    }
}

/// Calls of a trace, each as strace counts it. A call that was interrupted stands there twice, and counts once.
fn points(trace: &str) -> Vec<Point> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut points = BTreeSet::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        if !call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let number = counts.entry((thread, call)).or_default();
        *number += 1;
        let target = arguments.split(',').next().unwrap_or_default();
        let is_file = !NO_FILES.iter().any(|other| target.contains(other));
        if is_file && (call != "openat" || arguments.contains("O_CREAT")) {
            points.insert(Point { call: call.to_owned(), number: *number });
        }
    }
    points.into_iter().collect()
}

#[test]
fn calls_are_counted_by_thread_and_only_those_about_files() {
    let trace = "\
10 openat(AT_FDCWD, \"/a\", O_RDONLY) = 3
10 openat(AT_FDCWD, \"/a\", O_RDWR|O_CREAT, 0666) = 3</a>
11 write(4<anon_inode:[eventfd]>, \"x\", 8) = 8
11 write(3</a>, \"x\", 1 <unfinished ...>
10 write(3</a>, \"x\", 1) = 1
11 <... write resumed>) = 1
11 +++ exited with 0 +++
";
    let found = points(trace);
    let point = |call: &str, number| Point { call: call.to_owned(), number };
    assert_eq!(found, [point("openat", 2), point("write", 1), point("write", 2)]);
}
