//! Histories that can be are taken, histories that cannot be are refused.

use super::*;

fn at(began: u64, ended: u64, asked: Asked, told: Told) -> Operation {
    Operation {
        key: ("s".into(), "x".into()),
        asked,
        told,
        began,
        ended,
    }
}

fn read(began: u64, ended: u64, version: u64, value: i64) -> Operation {
    at(began, ended, Asked::Read, Told::Seen(version, value))
}

fn write(began: u64, ended: u64, value: i64, version: u64) -> Operation {
    at(began, ended, Asked::Write(value), Told::Done(version))
}

fn maybe(began: u64, ended: u64, value: i64) -> Operation {
    at(
        began,
        ended,
        Asked::Write(value),
        Told::Maybe(String::new()),
    )
}

fn not_done(began: u64, ended: u64, value: i64) -> Operation {
    at(
        began,
        ended,
        Asked::Write(value),
        Told::NotDone(String::new()),
    )
}

fn swap(began: u64, ended: u64, expected: u64, value: i64, told: Told) -> Operation {
    at(began, ended, Asked::Swap(expected, value), told)
}

/// The name of what is found, or "fine".
fn verdict(history: &[Operation]) -> &'static str {
    match check(history) {
        Ok(()) => "fine",
        Err(Fault::TwoValues { .. }) => "two values",
        Err(Fault::WrittenTwice { .. }) => "written twice",
        Err(Fault::OutOfNowhere { .. }) => "out of nowhere",
        Err(Fault::WrongSwap { .. }) => "wrong swap",
        Err(Fault::NeedlessConflict { .. }) => "needless conflict",
        Err(Fault::WentBack { .. }) => "went back",
        Err(Fault::TooManyVersions { .. }) => "too many versions",
    }
}

#[test]
fn what_one_client_sees_of_itself_is_fine() {
    assert_eq!(verdict(&[]), "fine");
    assert_eq!(verdict(&[read(0, 1, 1, 0)]), "fine");
    assert_eq!(
        verdict(&[
            write(0, 1, 10, 2),
            read(2, 3, 2, 10),
            write(4, 5, 11, 3),
            read(6, 7, 3, 11)
        ]),
        "fine"
    );
}

#[test]
fn overlapping_operations_may_fall_either_way() {
    // A read during a write sees the old or the new.
    assert_eq!(verdict(&[write(0, 10, 10, 2), read(1, 2, 1, 0)]), "fine");
    assert_eq!(verdict(&[write(0, 10, 10, 2), read(1, 2, 2, 10)]), "fine");
    // Two writes at once, in either order.
    assert_eq!(
        verdict(&[write(0, 10, 10, 3), write(1, 9, 11, 2), read(11, 12, 3, 10)]),
        "fine"
    );
}

#[test]
fn a_lost_write_is_refused() {
    assert_eq!(
        verdict(&[write(0, 1, 10, 2), read(2, 3, 1, 0)]),
        "went back"
    );
    // Overwritten as if it had never been: the same version again.
    assert_eq!(
        verdict(&[write(0, 1, 10, 2), write(2, 3, 11, 2)]),
        "two values"
    );
    assert_eq!(
        verdict(&[write(0, 1, 10, 2), maybe(2, 3, 11), read(4, 5, 2, 11)]),
        "two values"
    );
}

#[test]
fn a_stale_read_is_refused() {
    let history = [write(0, 1, 10, 2), write(2, 3, 11, 3), read(4, 5, 2, 10)];
    assert_eq!(verdict(&history), "went back");
    // Also after a read only: nobody may see the past once somebody has seen the present.
    let history = [write(0, 20, 10, 2), read(1, 2, 2, 10), read(3, 4, 1, 0)];
    assert_eq!(verdict(&history), "went back");
}

#[test]
fn a_write_below_one_that_ended_before_is_refused() {
    let history = [write(0, 1, 10, 3), write(2, 3, 11, 2), maybe(0, 1, 12)];
    assert_eq!(verdict(&history), "went back");
}

#[test]
fn a_write_that_took_effect_twice_is_refused() {
    let history = [write(0, 1, 10, 2), write(2, 3, 11, 3), read(4, 5, 4, 10)];
    assert_eq!(verdict(&history), "written twice");
}

#[test]
fn what_was_told_not_to_be_done_must_not_be_seen() {
    assert_eq!(verdict(&[not_done(0, 1, 10), read(2, 3, 1, 0)]), "fine");
    assert_eq!(
        verdict(&[not_done(0, 1, 10), read(2, 3, 2, 10)]),
        "out of nowhere"
    );
    let refused = swap(0, 1, 1, 10, Told::Conflict);
    assert_eq!(verdict(&[refused, read(2, 3, 2, 10)]), "out of nowhere");
    assert_eq!(verdict(&[read(2, 3, 2, 99)]), "out of nowhere");
    assert_eq!(verdict(&[read(2, 3, 2, 0)]), "written twice");
}

#[test]
fn what_may_be_done_may_be_seen_later_or_never() {
    assert_eq!(verdict(&[maybe(0, 1, 10), read(2, 3, 1, 0)]), "fine");
    // It takes effect after its client has given up.
    assert_eq!(
        verdict(&[maybe(0, 1, 10), read(2, 3, 1, 0), read(4, 5, 2, 10)]),
        "fine"
    );
    // But not before it began.
    assert_eq!(verdict(&[read(0, 1, 2, 10), maybe(2, 3, 10)]), "went back");
    // And once it is seen, it stays.
    assert_eq!(
        verdict(&[maybe(0, 1, 10), read(2, 3, 2, 10), read(4, 5, 1, 0)]),
        "went back"
    );
}

#[test]
fn versions_need_writers() {
    // A version between 1 and 3 that nobody can have made.
    assert_eq!(verdict(&[write(0, 1, 10, 3)]), "too many versions");
    assert_eq!(
        verdict(&[write(0, 1, 10, 3), not_done(0, 1, 11)]),
        "too many versions"
    );
    assert_eq!(verdict(&[write(0, 1, 10, 3), maybe(0, 1, 11)]), "fine");
}

#[test]
fn swaps_replace_the_version_that_they_expect() {
    assert_eq!(verdict(&[swap(0, 1, 1, 10, Told::Done(2))]), "fine");
    let history = [write(0, 1, 10, 2), swap(2, 3, 1, 11, Told::Done(3))];
    assert_eq!(verdict(&history), "wrong swap");
    // Two swaps of the same version cannot both be done.
    let history = [
        swap(0, 9, 1, 10, Told::Done(2)),
        swap(0, 9, 1, 11, Told::Done(2)),
    ];
    assert_eq!(verdict(&history), "two values");
    let history = [
        swap(0, 1, 1, 10, Told::Maybe(String::new())),
        write(0, 9, 11, 2),
        read(10, 11, 3, 10),
    ];
    assert_eq!(verdict(&history), "wrong swap");
}

#[test]
fn a_swap_is_not_refused_without_a_reason() {
    let refused = |began, ended, expected| swap(began, ended, expected, 50, Told::Conflict);
    assert_eq!(verdict(&[write(0, 9, 10, 2), refused(1, 2, 1)]), "fine");
    assert_eq!(
        verdict(&[refused(1, 2, 1), read(3, 4, 1, 0)]),
        "needless conflict"
    );
    assert_eq!(
        verdict(&[write(0, 1, 10, 2), refused(2, 3, 2), read(4, 5, 2, 10)]),
        "needless conflict"
    );
    // It may have been written in between.
    assert_eq!(
        verdict(&[
            write(0, 1, 10, 2),
            refused(2, 3, 2),
            maybe(2, 3, 11),
            read(4, 5, 3, 11)
        ]),
        "fine"
    );
    // Too early: the register was not at that version yet.
    assert_eq!(
        verdict(&[refused(0, 1, 2), write(2, 3, 10, 2), read(4, 5, 2, 10)]),
        "fine"
    );
}

#[test]
fn registers_do_not_mix() {
    let mut other = read(2, 3, 1, 0);
    other.key.1 = "y".into();
    assert_eq!(verdict(&[write(0, 1, 10, 2), other]), "fine");
}
