//! Tests of `hakmem run`, from a shell's point of view.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// `hakmem run`, in an environment without settings for allocators.
fn hakmem(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hakmem"));
    command.arg("run").args(args);
    command.env_remove("LD_PRELOAD").env_remove("HAKMEM_STATS");
    // The process that runs the tests may ignore some signals (`nohup`, or a script in the background). Its children
    // would ignore them too.
    let heeds_signals = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: it takes numbers, and may be called between fork and exec.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: what it does may be done there.
    unsafe { command.pre_exec(heeds_signals) };
    command
}

fn sh(script: &str) -> Command {
    hakmem(&["--", "sh", "-c", script])
}

fn output(mut command: Command) -> Output {
    command.output().expect("it starts")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text")
}

/// A path of this test's own.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Starts a command whose script prints a line, and waits for that line.
fn started(mut command: Command) -> (Child, BufReader<impl Read>) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("text");
    assert_eq!(line, "up\n");
    (child, lines)
}

/// Sends a signal to it, and waits for its end; returns its remaining output too.
fn ended_by(signal: i32, started: (Child, BufReader<impl Read>)) -> (ExitStatus, String) {
    let (mut child, mut lines) = started;
    let pid = i32::try_from(child.id()).expect("a number");
    // SAFETY: it takes numbers; the child is not waited for yet.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("text");
    (child.wait().expect("an end"), rest)
}

#[test]
fn the_exit_code_is_passed_on() {
    for code in [0, 7, 255] {
        assert_eq!(output(sh(&format!("exit {code}"))).status.code(), Some(code));
    }
}

#[test]
fn the_signal_is_passed_on() {
    for (name, signal) in [("TERM", libc::SIGTERM), ("INT", libc::SIGINT), ("KILL", libc::SIGKILL)]
    {
        let ended = output(sh(&format!("kill -{name} $$")));
        assert_eq!(ended.status.signal(), Some(signal));
        assert!(stderr(&ended).contains(name), "{}", stderr(&ended));
    }
}

#[test]
fn what_it_prints_stays_as_it_is() {
    let ended = output(hakmem(&["--", "printf", "%s|", "a b", "--compare", ""]));
    assert_eq!(stdout(&ended), "a b|--compare||");
    for figure in ["wall time", "user", "system", "peak RSS", "exit"] {
        assert!(stderr(&ended).contains(figure), "{}", stderr(&ended));
    }
}

#[test]
fn the_heap_is_summed_up() {
    let ended = output(hakmem(&["--", "printf", ""]));
    for figure in ["variant", "mapped at exit", "in use at exit", "large blocks"] {
        assert!(stderr(&ended).contains(figure), "{}", stderr(&ended));
    }
    let ended = output(sh("kill -KILL $$"));
    assert!(stderr(&ended).contains("no summary: "), "{}", stderr(&ended));
}

#[test]
fn what_does_not_start_has_codes_of_its_own() {
    for (program, code) in
        [("no-such-program", 127), ("/no/such", 127), ("/etc/passwd", 126), ("/", 126)]
    {
        let ended = output(hakmem(&["--", program]));
        assert_eq!(ended.status.code(), Some(code), "{program}");
        let said = stderr(&ended);
        assert!(said.starts_with("hakmem: ") && said.contains(program), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    for args in [&[][..], &["--compare"], &["--no-such", "--", "true"]] {
        assert_eq!(output(hakmem(args)).status.code(), Some(2));
    }
}

#[test]
fn two_runs_are_compared() {
    let ended = output(hakmem(&["--compare", "--", "sh", "-c", "echo ${LD_PRELOAD:-none}"]));
    let lines: Vec<_> = stdout(&ended).lines().collect();
    assert_eq!(lines[0], "none");
    assert!(lines[1].ends_with("/libhakmem.so"), "{lines:?}");
    let said = stderr(&ended);
    let heading = said.lines().find(|line| line.contains("ratio")).expect("a heading");
    assert!(heading.contains("system") && heading.contains("hakmem"), "{said}");
    assert!(!said.contains("differ"), "{said}");

    let ended = output(hakmem(&["--compare", "--", "sh", "-c", "test -n \"$LD_PRELOAD\""]));
    assert_eq!(ended.status.code(), Some(0));
    let said = stderr(&ended);
    assert!(said.contains("differ: 1 without hakmem, 0 with it"), "{said}");
}

#[test]
fn two_runs_read_the_same() {
    let file = path("read-twice");
    fs::write(&file, "one\ntwo\n").expect("it can be written");
    let mut compare = hakmem(&["--compare", "--", "cat"]);
    let read =
        compare.stdin(File::open(&file).expect("written above")).output().expect("it starts");
    assert_eq!(stdout(&read), "one\ntwo\none\ntwo\n");

    let piped = hakmem(&["--compare", "--", "cat"]).stdin(Stdio::piped()).output();
    let piped = piped.expect("it starts");
    assert_eq!(piped.status.code(), Some(2));
    assert_eq!(stderr(&piped).lines().count(), 1, "{}", stderr(&piped));
    assert!(stderr(&piped).contains("--compare"), "{}", stderr(&piped));
}

#[test]
fn signals_reach_the_program() {
    for (name, signal) in [("TERM", libc::SIGTERM), ("HUP", libc::SIGHUP), ("USR1", libc::SIGUSR1)]
    {
        let script = format!("trap 'exit 9' {name}; echo up; while :; do sleep 0.1; done");
        let (status, _) = ended_by(signal, started(sh(&script)));
        assert_eq!(status.code(), Some(9), "{name}");
    }
}

#[test]
fn who_stops_the_first_run_wants_no_second() {
    let script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done";
    let compare = hakmem(&["--compare", "--", "sh", "-c", script]);
    let (status, rest) = ended_by(libc::SIGTERM, started(compare));
    assert_eq!((status.code(), &*rest), (Some(9), ""));
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let run = format!(
        "trap '' HUP; exec {} run sh -c 'kill -HUP $$; exit 3'",
        env!("CARGO_BIN_EXE_hakmem")
    );
    let ended = Command::new("sh").args(["-c", &run]).output().expect("it starts");
    assert_eq!(ended.status.code(), Some(3));
}

#[test]
fn the_library_is_the_first_of_those_that_are_preloaded() {
    let mut command = sh("echo $LD_PRELOAD");
    // A library that is loaded already, so every machine has it.
    command.env("LD_PRELOAD", "libc.so.6");
    let ended = output(command);
    let (ours, theirs) = stdout(&ended).trim().split_once(':').expect("two");
    assert!(ours.ends_with("/libhakmem.so"), "{ours}");
    assert_eq!(theirs, "libc.so.6");
}

#[test]
fn a_summary_that_the_user_wants_is_the_users() {
    let file = path("summary.json");
    let mut command = hakmem(&["--", "sh", "-c", "echo $HAKMEM_STATS"]);
    command.env("HAKMEM_STATS", &file);
    let ended = output(command);
    assert_eq!(stdout(&ended).trim(), file.to_str().expect("text"));
    for word in ["variant", "at exit", "no summary"] {
        assert!(!stderr(&ended).contains(word), "{}", stderr(&ended));
    }
}

#[test]
fn nothing_is_left_behind() {
    for end in ["exit 0", "kill -KILL $$"] {
        let script = format!("echo $LD_PRELOAD; test -f $LD_PRELOAD || exit 1; {end}");
        let ended = output(sh(&script));
        assert_ne!(ended.status.code(), Some(1), "it was there");
        let library = Path::new(stdout(&ended).trim());
        assert!(!library.parent().expect("a folder").exists(), "{}", library.display());
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_passed_over() {
    let folder = path("two words");
    fs::create_dir_all(&folder).expect("it can be made");
    let mut command = sh("echo $LD_PRELOAD");
    command.env("XDG_RUNTIME_DIR", &folder).env("TMPDIR", "/no/such");
    let ended = output(command);
    assert!(stdout(&ended).starts_with("/tmp/hakmem-"), "{}", stdout(&ended));
}
