//! Memory: charged when it is allocated, refused beyond the quota, given back when it is freed.

use crate::support::{Node, QUOTA_BYTES, WAYS, Way};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

#[test]
fn every_kind_of_memory_is_charged_once_by_every_way_in() {
    for way in WAYS {
        let Some(node) = Node::new() else { return };
        println!("{way:?}");
        node.passes(&mut node.command(&node.build("quota"), way));
    }
}

#[test]
fn a_loader_that_wraps_handles_changes_nothing() {
    for way in WAYS {
        let Some(node) = Node::new() else { return };
        println!("{way:?}");
        let mut command = node.command(&node.build("quota"), way);
        node.passes(command.env("ZE_ENABLE_LOADER_INTERCEPT", "1"));
    }
}

#[test]
fn sysman_that_was_started_by_itself_tells_the_quota_too() {
    for way in WAYS {
        let Some(node) = Node::new() else { return };
        let mut command = node.command(&node.build("managed"), way);
        let said = node.passes(command.env_remove("ZES_ENABLE_SYSMAN"));
        println!("{way:?}: {said}");
        assert!(["as the core\n", "no zesInit\n"].contains(&said.as_str()));
    }
}

#[test]
fn memory_of_another_process_is_charged_once() {
    for way in WAYS {
        let Some(node) = Node::new() else { return };
        println!("{way:?}");
        node.passes(&mut node.command(&node.build("imports"), way));
    }
}

#[test]
fn many_processes_at_once_are_never_over_the_quota() {
    const PROCESSES: usize = 8;
    for way in WAYS {
        let Some(node) = Node::new() else { return };
        let (crowd, monitor) = (node.build("crowd"), node.build("monitor"));
        let mut looking = node
            .command(&monitor, Way::Neither)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = BufReader::new(looking.stdout.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        let mut all: Vec<_> = (1..=PROCESSES)
            .map(|seed| {
                let mut command = node.command(&crowd, way);
                command.arg(seed.to_string());
                let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
                let mut child = piped.spawn().expect("it starts");
                let out = BufReader::new(child.stdout.take().expect("piped"));
                (child, out)
            })
            .collect();
        for (_, out) in &mut all {
            let mut line = String::new();
            out.read_line(&mut line).expect("a line");
            assert_eq!(line, "ready\n", "{way:?}");
        }
        for (child, _) in &mut all {
            let mut go = child.stdin.take().expect("piped");
            go.write_all(b"\n").expect("it reads");
        }
        let (mut got, mut refused) = (0, 0);
        for (mut child, mut out) in all {
            let mut text = String::new();
            out.read_to_string(&mut text).expect("its answer");
            assert!(child.wait().expect("it ends").success(), "{way:?}");
            let mut numbers = text
                .split_whitespace()
                .map(|it| it.parse::<u64>().expect("a number"));
            got += numbers.next().expect("two numbers");
            refused += numbers.next().expect("two numbers");
        }
        drop(looking.stdin.take());
        let mut most = String::new();
        said.read_to_string(&mut most).expect("a number");
        assert!(looking.wait().expect("it ends").success());
        let most: u64 = most.trim().parse().expect("a number");
        println!("{way:?}: {got} got, {refused} refused, most {most} of {QUOTA_BYTES}");
        assert!(got > 0 && refused > 0, "{way:?}: {got} and {refused}");
        assert!(most <= QUOTA_BYTES, "{way:?}: {} over", most - QUOTA_BYTES);
        assert!(most > QUOTA_BYTES / 2, "{way:?}: only {most}");
    }
}
