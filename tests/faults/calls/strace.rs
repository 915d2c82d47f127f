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
/// What a traced program says on standard error, beside its data.
const SAID: &str = "said";
/// How long any program here may take. One that hangs is a fault of its own.
const DEADLINE: Duration = Duration::from_secs(90);

/// One call of a run: the so-manieth of its kind about one file in its thread, which is how strace counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) call: String,
    /// Within the folder of the run.
    pub(crate) path: PathBuf,
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
    folder: PathBuf,
}

impl Traced {
    /// Starts it; what it says on standard error goes to a file of the folder.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&OsStr],
        folder: &Path,
        fault: Option<(&Point, Fault)>,
    ) -> Self {
        let trace = folder.join("trace");
        let said = std::fs::File::options().create(true).append(true).open(folder.join(SAID));
        let mut command = Command::new("strace");
        // Without its filter in the kernel, with which it kills nothing.
        command.args(["-f", "-y", "-e", "signal=none", "-e"]);
        command.arg(format!("trace={CALLS}")).arg("-o").arg(&trace);
        if let Some((Point { call, path, number }, fault)) = fault {
            command.arg("-P").arg(folder.join(path));
            let what = match fault {
                Fault::Error => "error=EIO",
                Fault::Kill => "signal=KILL",
            };
            command.arg(format!("--inject={call}:{what}:when={number}"));
        }
        command.arg("--").arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.expect("a file"));
        let child = command.spawn().expect("strace runs: apt-get install strace");
        Self { child, trace, folder: folder.to_owned() }
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
        let child = command.spawn().expect("strace runs: apt-get install strace");
        Self { child, trace, folder: folder.to_owned() }
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

    /// The calls that it made about files of its folder.
    pub(crate) fn points(&self) -> Vec<Point> {
        points(&std::fs::read_to_string(&self.trace).expect("a trace"), &self.folder)
    }
}

impl Drop for Traced {
    /// strace would leave its program behind.
    fn drop(&mut self) {
        self.signal("-KILL");
    }
}

/// What a call is about: the file that it has open, or the last that it names.
fn target(arguments: &str) -> Option<&Path> {
    let first = arguments.split(',').next()?;
    if first.starts_with(|letter: char| letter.is_ascii_digit()) {
        let (_number, path) = first.split_once('<')?;
        return path.split('>').next().map(Path::new);
    }
    let mut named = arguments.split('"').skip(1).step_by(2);
    // A rename is about what is there in the end, whatever it was called before.
    named.by_ref().last().map(Path::new)
}

/// Calls of a trace about files of a folder, each as strace counts it. A call that was interrupted stands there twice,
/// and counts once.
fn points(trace: &str, folder: &Path) -> Vec<Point> {
    let mut counts: BTreeMap<(&str, &str, &Path), u64> = BTreeMap::new();
    let mut points = BTreeSet::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        if !call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let Some(path) = target(arguments) else { continue };
        let number = counts.entry((thread, call, path)).or_default();
        *number += 1;
        let Ok(path) = path.strip_prefix(folder) else { continue };
        if path != Path::new(SAID) && (call != "openat" || arguments.contains("O_CREAT")) {
            points.insert(Point { call: call.to_owned(), path: path.to_owned(), number: *number });
        }
    }
    points.into_iter().collect()
}

#[test]
fn calls_are_counted_by_thread_and_file_and_only_those_about_files_of_the_folder() {
    let trace = "\
10 openat(AT_FDCWD</x>, \"/x/a\", O_RDONLY) = 3
10 openat(AT_FDCWD</x>, \"/x/a\", O_RDWR|O_CREAT, 0666) = 3</x/a>
11 write(4<anon_inode:[eventfd]>, \"x\", 8) = 8
11 write(3</x/a>, \"/x/b\", 1 <unfinished ...>
11 write(5</x/b>, \"x\", 1) = 1
11 write(2</x/said>, \"x\", 1) = 1
10 write(3</x/a>, \"x\", 1) = 1
11 <... write resumed>) = 1
11 write(3</x/a>, \"x\", 1) = 1
11 rename(\"/x/c.new\", \"/x/c\") = 0
11 unlink(\"/y\") = 0
11 +++ exited with 0 +++
";
    let found = points(trace, Path::new("/x"));
    let point = |call: &str, path: &str, number| {
        let (call, path) = (call.to_owned(), PathBuf::from(path));
        Point { call, path, number }
    };
    let writes = [point("write", "a", 1), point("write", "a", 2), point("write", "b", 1)];
    let others = [point("openat", "a", 2), point("rename", "c", 1)];
    assert_eq!(found, [&others[..], &writes[..]].concat());
}
