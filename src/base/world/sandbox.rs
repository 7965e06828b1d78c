//! The system's own bounds around this process: what it may read, write, start and talk to from now on.
//!
//! The rules that a stranger's file is held to stand in the code that opens files; this is the second wall, for
//! the day on which a reader of foreign bytes has a hole. Only Linux has it (landlock, since 5.13), and never does
//! it break a run: what the kernel lacks is left out, and the record says how much there is.

use std::path::PathBuf;

/// How much of the bounds the system holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confinement {
    /// Nothing: no such system, or it is switched off.
    Absent,
    /// The part that this kernel knows.
    Partial,
    /// Files, programs, TCP, signals and abstract sockets.
    Full,
}

impl Confinement {
    /// As the record says it: `landlock: full`.
    pub fn word(self) -> &'static str {
        match self {
            Confinement::Absent => "absent",
            Confinement::Partial => "partial",
            Confinement::Full => "full",
        }
    }
}

/// From now on this thread, and every thread that it starts, reads only beneath `reads` and `writes`, writes only
/// beneath `writes`, starts no program and opens no TCP connection. Nothing takes it back; a second call can only
/// narrow the bounds. Paths that are not there are left out; a link is followed now, not later.
#[cfg(target_os = "linux")]
pub(super) fn confine(reads: &[PathBuf], writes: &[PathBuf]) -> Confinement {
    use landlock::RulesetStatus;
    match rules(reads, writes) {
        Ok(RulesetStatus::FullyEnforced) => Confinement::Full,
        Ok(RulesetStatus::PartiallyEnforced) => Confinement::Partial,
        // A container may forbid the call itself.
        Ok(RulesetStatus::NotEnforced) | Err(_) => Confinement::Absent,
    }
}

#[cfg(target_os = "linux")]
fn rules(reads: &[PathBuf], writes: &[PathBuf]) -> Result<landlock::RulesetStatus, landlock::RulesetError> {
    use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope};
    use landlock::{make_bitflags, path_beneath_rules};
    /// The newest whose rights we have tried; older kernels take what they know of it.
    const KNOWN: ABI = ABI::V7;
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    // No devices, pipes, sockets or links: a run makes files and folders.
    let write =
        read | make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer});
    // The runtime asks /proc and /sys for the memory, the processors and their limits.
    let system = ["/proc", "/sys"].map(PathBuf::from);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(reads.iter().chain(&system), read))?
        .add_rules(path_beneath_rules(["/dev/null"], read | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(writes, write))?
        .restrict_self()?;
    Ok(status.ruleset)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn confine(_: &[PathBuf], _: &[PathBuf]) -> Confinement {
    Confinement::Absent
}
