//! Rounds of random calls: from nothing, through some kinds of calls, to nothing.

use crate::bytes::Bytes;
use crate::model::{DEVICES, Kind};
use crate::world::World;
use crate::{arrays, contexts, graphs, linear, pools, vmm, work};

/// Calls of a round, without those that tidy up.
const CALLS: usize = 600;

/// Makes one call of a kind.
type Step = fn(&mut World);

/// Kinds of calls, and how often each is made if its kind is made at all.
const FAMILIES: [(Step, usize); 7] = [
    (linear::step, 6),
    (vmm::step, 5),
    (arrays::step, 4),
    (graphs::step, 5),
    (contexts::step, 2),
    (work::step, 5),
    (pools::step, 6),
];

/// Rounds by one seed after the other until `count` calls were made. `FCSP_CALLS_COUNT` says otherwise how many,
/// `FCSP_CALLS_SEED` where to begin, and `FCSP_CALLS_INPUT` names a file of decisions to make one round by instead.
///
/// # Panics
/// At the first difference.
pub fn run(count: u64) {
    let variable = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let count = variable("FCSP_CALLS_COUNT").unwrap_or(count);
    let mut seed = variable("FCSP_CALLS_SEED").unwrap_or(1);
    let mut world = World::open();
    if let Some(path) = std::env::var_os("FCSP_CALLS_INPUT") {
        let bytes = std::fs::read(path).expect("a file of decisions");
        world.bytes = Bytes::Given { bytes, at: 0 };
        round(&mut world, CALLS);
        return judge(&world, "by that file");
    }
    let began = std::time::Instant::now();
    let mut rounds = 0;
    while world.calls < count {
        world.bytes = Bytes::Seeded(seed);
        round(&mut world, CALLS);
        judge(&world, &format!("with FCSP_CALLS_SEED={seed}"));
        seed += 1;
        rounds += 1;
    }
    assert!(world.refusals > 0, "the quota was never met");
    assert!(
        world.hasty <= 1 + world.refusals / 1000,
        "{} of {} refusals came before all was tried",
        world.hasty,
        world.refusals
    );
    eprintln!(
        "{} calls in {rounds} rounds, {} refused by the quota, {:.1} s",
        world.calls,
        world.refusals,
        began.elapsed().as_secs_f64()
    );
}

/// Fails with the calls of the round if there was a difference.
pub fn judge(world: &World, how: &str) {
    if let Some(difference) = &world.difference {
        let calls = world.trace.join("\n");
        let count = world.trace.len();
        panic!("{calls}\n{difference}\nafter {count} calls {how}");
    }
}

/// One round.
pub fn round(world: &mut World, calls: usize) {
    world.trace.clear();
    // Only some kinds in one round: what is rare among all of them happens often among a few.
    let mut steps: Vec<Step> = Vec::new();
    let chosen = world.bytes.number();
    for (bit, (step, weight)) in FAMILIES.iter().enumerate() {
        if chosen >> bit & 1 == 1 {
            steps.extend(std::iter::repeat_n(*step, *weight));
        }
    }
    if steps.is_empty() {
        steps.push(linear::step);
    }
    pools::begin(world);
    contexts::begin(world);
    for _ in 0..calls {
        let step = world.bytes.one_of(&steps);
        step(world);
        world.check();
        if world.difference.is_some() || world.bytes.are_over() {
            break;
        }
    }
    tidy(world);
}

/// Gives everything back, one thing after the other, and looks whether anything is left.
fn tidy(world: &mut World) {
    world.end_captures(None);
    for object in world.model.objects.clone() {
        let Some(owner) = object.owner else { continue };
        let context = world.model.contexts[owner].twin;
        contexts::make_current(world, context);
        match object.kind {
            Kind::Linear | Kind::Pool => linear::release(world, object.twin),
            kind => arrays::release(world, kind, object.twin),
        }
        world.check();
    }
    graphs::tidy(world);
    vmm::tidy(world);
    work::tidy(world);
    // Pools give back what somebody has waited for, and nobody waits without a context.
    contexts::begin(world);
    contexts::settle(world);
    pools::tidy(world);
    world.check();
    contexts::tidy(world);
    world.model.graphs.over();
    pools::look_for_rests(world);
    world.check();
    for device in 0..DEVICES {
        let (charged, answered) = (world.used_bytes(device), world.answered_bytes(device));
        if (charged, answered) != (0, 0) {
            world.differ(format!(
                "{charged} bytes are left on device {device}, {answered} of them the process's"
            ));
        }
    }
    world.model.contexts.clear();
    world.model.physical.clear();
    world.stale.clear();
}
