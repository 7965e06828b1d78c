//! Files that somebody wrote to do harm, given to the real program: each is refused in under a second, with at
//! most 200 MB of memory, with a code, without a panic, and without leaving a run behind.

mod archives;
mod names;
mod pictures;
mod records;
mod schedules;
#[cfg(unix)]
mod ways_out;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SECONDS_MAX: f64 = 1.0;
const BYTES_MAX: u64 = 200_000_000;

/// How a call of the program ended.
struct Refused {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A folder with a stranger's files.
struct Stranger {
    folder: tempfile::TempDir,
}

/// Good sections around a hostile one.
const MODEL: &str = "model { h1 dense 32 relu; out dense 2 }\n";
const TRAIN: &str = "train 2 epochs { }\n";
const DIGITS: &str =
    "data digits { limit 200 }\nmodel { h1 dense 8 relu; h2 dense 8 relu; out dense 10 }\ntrain 2 epochs { }\n";

impl Stranger {
    fn new() -> Stranger {
        Stranger { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// `at/` is the schedule's own folder; what lies beside it is none of its business.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("at").join(name)
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Stranger {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("beneath the folder")).expect("made");
        std::fs::write(path, content).expect("written");
        self
    }

    /// A schedule `a.grow` that reads `data`.
    fn reading(self, data: &str) -> Stranger {
        self.with("a.grow", format!("data {data}\n{MODEL}{TRAIN}"))
    }

    /// Calls the program in the schedule's folder and holds it to the bounds. On a busy machine it may have to wait
    /// for a processor, and is asked again; after that, only the time counts in which it had one.
    fn call(&self, arguments: &[&str]) -> Refused {
        const ATTEMPTS: usize = 3;
        // `plan` measures the machine for a second, whatever the file.
        let allowed = SECONDS_MAX + if arguments.first() == Some(&"plan") { 1.0 } else { 0.0 };
        let mut slow = Vec::new();
        for attempt in 1..=ATTEMPTS {
            let (seconds, worked, refused) = self.call_once(arguments);
            if seconds < allowed || attempt == ATTEMPTS && worked < allowed {
                return refused;
            }
            slow.push((seconds, worked));
        }
        panic!("{arguments:?} took {slow:?} s, of which it worked the second");
    }

    /// The system itself refuses more memory than is allowed, touched or not, which ends the program by a signal.
    fn call_once(&self, arguments: &[&str]) -> (f64, f64, Refused) {
        let output = |name: &str| std::fs::File::create(self.folder.path().join(name)).expect("a file");
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_growrun"))
            .args(arguments)
            .current_dir(self.path(""))
            .env_remove("NO_COLOR")
            .env_remove("GROWRUN_DATA")
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .expect("the program starts");
        limit_memory(&child);
        let (mut peak, mut worked) = (0, 0.0);
        let status = loop {
            peak = peak.max(resident(&child));
            worked = processor_seconds(&child).unwrap_or(worked);
            match child.try_wait().expect("a child of ours") {
                Some(status) => break Some(status),
                // Long after the bound, so that what is told is the time that it takes.
                None if began.elapsed().as_secs_f64() > 10.0 * SECONDS_MAX => {
                    child.kill().expect("it is ours");
                    child.wait().expect("it is ours");
                    break None;
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let seconds = began.elapsed().as_secs_f64();
        let told = |name: &str| {
            let text = std::fs::read(self.folder.path().join(name)).expect("written");
            String::from_utf8(text).expect("UTF-8")
        };
        let code = status.and_then(|status| status.code());
        let refused = Refused { code, stdout: told("stdout"), stderr: told("stderr") };
        let first: String = refused.stderr.lines().next().unwrap_or_default().chars().take(100).collect();
        println!("{seconds:.2} s, {} MB, {first}", peak / 1_000_000);
        assert!(status.is_some(), "it does not end: {arguments:?}");
        assert!(code.is_some(), "ended by {status:?}, beyond the memory: {}", refused.stderr);
        assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
        assert!(peak <= BYTES_MAX, "{peak} bytes: {first}");
        (seconds, worked, refused)
    }

    /// The schedule `a.grow` is refused with this code, and nothing is left.
    fn is_refused(&self, code: &str) -> Refused {
        let refused = self.call(&["a.grow"]);
        assert!(matches!(refused.code, Some(2 | 4)), "{:?} {}", refused.code, refused.stderr);
        assert!(refused.stderr.contains(code), "{code}: {}", refused.stderr);
        assert!(!self.path("runs").exists(), "no run is left");
        refused
    }
}

/// Memory that a process writes to cannot grow beyond [`BYTES_MAX`].
#[cfg(target_os = "linux")]
fn limit_memory(child: &Child) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let limit = Rlimit { current: Some(BYTES_MAX), maximum: Some(BYTES_MAX) };
    // It may have ended already.
    let _ = prlimit(Some(Pid::from_child(child)), Resource::Data, limit);
}

#[cfg(not(target_os = "linux"))]
fn limit_memory(_: &Child) {}

/// The most memory that a process has had at once, as far as the system tells while it lives.
fn resident(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// How long a living process has had a processor; as long as it lives where the system does not tell.
fn processor_seconds(child: &Child) -> Option<f64> {
    /// Linux counts in hundredths of a second, whatever its own clock is.
    const TICKS: f64 = 100.0;
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", child.id())) else {
        return if cfg!(target_os = "linux") { None } else { Some(f64::INFINITY) };
    };
    // Behind the name in brackets: the state is the first, user and system time the twelfth and thirteenth.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(|field| field.parse::<f64>().ok());
    Some((ticks.next()?? + ticks.next()??) / TICKS)
}
