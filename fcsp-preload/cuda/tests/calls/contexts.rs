//! Contexts: made, made current, and ended, with all that is in them.

use cuda_sys::{CUcontext, CUresult};
use std::ptr::null_mut;

use crate::cu;
use crate::model::{Bill, Context, DEVICES, Twin};
use crate::world::{Answer, World};

/// Contexts that live at once at most.
const CONTEXTS_MAX: usize = 4;

/// One call.
pub fn step(world: &mut World) {
    match world.bytes.below(12) {
        0 => create(world),
        1 => destroy(world),
        2..=3 => retain(world),
        4 => release(world),
        5 if world.bytes.one_in(3) => reset(world),
        6 => push(world),
        7 => pop(world),
        8 => synchronize(world),
        _ => set_current(world),
    }
}

fn live(world: &World) -> Vec<Twin> {
    let contexts = world.model.contexts.iter().filter(|it| it.alive);
    contexts.map(|it| it.twin).collect()
}

fn ordinal(world: &mut World) -> i32 {
    world.bytes.one_of(&[0, 0, 0, 1, 1, 1, 1, -1, 2, i32::MAX])
}

fn made(world: &mut World, answer: Answer, device: i32, primary: bool) {
    let Some(twin) = answer.made() else { return };
    if world
        .model
        .contexts
        .iter()
        .any(|it| it.alive && it.twin == twin)
    {
        return;
    }
    let device = device as usize;
    world.model.pools.context_made(device);
    world.model.contexts.push(Context {
        twin,
        device,
        primary,
        alive: true,
    });
}

fn create(world: &mut World) {
    if live(world).len() >= CONTEXTS_MAX {
        return destroy(world);
    }
    let (device, null) = (ordinal(world), world.bytes.one_in(20));
    let flags = world.bytes.one_of(&[0, 0, 0, 4, 8, 1 << 20]);
    let version = world.bytes.below(3);
    let answer = world.call(
        || format!("cuCtxCreate {version} ({null}, {flags}, {device})"),
        &Bill::Free,
        |cuda, _, made| {
            let mut context = null_mut();
            let place = if null { null_mut() } else { &raw mut context };
            let result = match version {
                0 => cu!(cuda, cuCtxCreate_v2(place, flags, device)),
                1 => cu!(cuda, cuCtxCreate_v3(place, null_mut(), 0, flags, device)),
                _ => cu!(cuda, cuCtxCreate_v4(place, null_mut(), flags, device)),
            };
            *made = context as u64;
            result
        },
    );
    made(world, answer, device, false);
}

fn destroy(world: &mut World) {
    let good = live(world);
    let twin = world.pick(&good);
    destroy_context(world, twin);
}

fn destroy_context(world: &mut World, twin: Twin) {
    if let Some(index) = alive(world, twin) {
        world.end_captures(Some(index));
    }
    let answer = world.call(
        || format!("cuCtxDestroy_v2({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuCtxDestroy_v2(twin.0[side] as CUcontext)),
    );
    if answer.is_success()
        && let Some(index) = alive(world, twin)
    {
        gone(world, index);
    }
}

fn alive(world: &World, twin: Twin) -> Option<usize> {
    world
        .model
        .contexts
        .iter()
        .position(|it| it.alive && it.twin == twin)
}

fn gone(world: &mut World, index: usize) {
    let twin = world.model.contexts[index].twin;
    world.outlived(twin);
    for object in world.model.context_gone(index) {
        world.model.pools.orphaned(object.twin);
        world.outlived(object.twin);
    }
    for stream in world.work.streams_of(index) {
        world.outlived(stream);
    }
    world
        .model
        .after_context(world.model.contexts[index].device);
}

fn retain(world: &mut World) {
    let (device, null) = (ordinal(world), world.bytes.one_in(20));
    retain_primary(world, device, null);
}

fn retain_primary(world: &mut World, device: i32, null: bool) -> Answer {
    let answer = world.call(
        || format!("cuDevicePrimaryCtxRetain({null}, {device})"),
        &Bill::Free,
        |cuda, _, made| {
            let mut context = null_mut();
            let place = if null { null_mut() } else { &raw mut context };
            let result = cu!(cuda, cuDevicePrimaryCtxRetain(place, device));
            *made = context as u64;
            result
        },
    );
    made(world, answer, device, true);
    answer
}

fn release(world: &mut World) {
    let device = ordinal(world);
    release_primary(world, device);
}

fn release_primary(world: &mut World, device: i32) -> Answer {
    end_primary_captures(world, device);
    let answer = world.call(
        || format!("cuDevicePrimaryCtxRelease_v2({device})"),
        &Bill::Free,
        |cuda, _, _| cu!(cuda, cuDevicePrimaryCtxRelease_v2(device)),
    );
    ended(world, answer, device);
    answer
}

fn reset(world: &mut World) {
    let device = ordinal(world);
    end_primary_captures(world, device);
    let answer = world.call(
        || format!("cuDevicePrimaryCtxReset_v2({device})"),
        &Bill::Free,
        |cuda, _, _| cu!(cuda, cuDevicePrimaryCtxReset_v2(device)),
    );
    ended(world, answer, device);
    if answer.is_success() && !world.model.has_context(device as usize) {
        world.model.after_context(device as usize);
    }
}

fn primary(world: &World, device: i32) -> Option<usize> {
    let is_it = |it: &Context| it.alive && it.primary && it.device as i64 == i64::from(device);
    world.model.contexts.iter().position(is_it)
}

/// A context that ends with a capture under way leaves the driver in a state that is nobody's business here.
fn end_primary_captures(world: &mut World, device: i32) {
    if let Some(index) = primary(world, device) {
        world.end_captures(Some(index));
    }
}

/// The primary context may have ended.
fn ended(world: &mut World, answer: Answer, device: i32) {
    let (mut flags, mut active) = (0, 0);
    if !answer.is_success()
        || cu!(
            world.bare(),
            cuDevicePrimaryCtxGetState(device, &mut flags, &mut active)
        ) != CUresult::CUDA_SUCCESS
    {
        return;
    }
    if active == 0
        && let Some(index) = primary(world, device)
    {
        gone(world, index);
    }
}

fn set_current(world: &mut World) {
    let good = live(world);
    let twin = world.pick(&good);
    make_current(world, twin);
}

/// `cuCtxSetCurrent`.
pub fn make_current(world: &mut World, twin: Twin) {
    world.call(
        || format!("cuCtxSetCurrent({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuCtxSetCurrent(twin.0[side] as CUcontext)),
    );
}

fn push(world: &mut World) {
    let good = live(world);
    let twin = world.pick(&good);
    world.call(
        || format!("cuCtxPushCurrent_v2({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuCtxPushCurrent_v2(twin.0[side] as CUcontext)),
    );
}

fn pop(world: &mut World) {
    world.call(
        || "cuCtxPopCurrent_v2".into(),
        &Bill::Free,
        |cuda, _, _| {
            let mut popped = null_mut();
            cu!(cuda, cuCtxPopCurrent_v2(&mut popped))
        },
    );
}

fn synchronize(world: &mut World) {
    world.model.pools.settled();
    let answer = world.call(
        || "cuCtxSynchronize".into(),
        &Bill::Free,
        |cuda, _, _| cu!(cuda, cuCtxSynchronize()),
    );
    if answer.is_success() {
        world.work.waited();
        if let Some(device) = world.only_context() {
            world.model.pools.waited_for_all(device);
            world.model.graphs.waited_for_all(device);
        }
    }
}

/// Makes sure that there is a current context.
pub fn begin(world: &mut World) {
    let device = world.bytes.below(DEVICES) as i32;
    if let Some(twin) = retain_primary(world, device, false).made() {
        make_current(world, twin);
    }
}

/// Waits for everything in every context.
pub fn settle(world: &mut World) {
    for twin in live(world) {
        make_current(world, twin);
        synchronize(world);
    }
}

/// Ends every context.
pub fn tidy(world: &mut World) {
    for twin in live(world) {
        if alive(world, twin).is_some_and(|index| !world.model.contexts[index].primary) {
            destroy_context(world, twin);
        }
    }
    for device in 0..DEVICES as i32 {
        while primary(world, device).is_some() && release_primary(world, device).is_success() {}
    }
    // What is left on the stack of contexts are names of contexts that are gone.
    while world.difference.is_none() && world.has_some_context_on_its_stack() {
        pop(world);
    }
}
