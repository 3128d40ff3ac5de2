//! Plain device memory: allocated in every way, freed in every way that is right and wrong.

use cuda_sys::CUdeviceptr;
use std::ptr::null_mut;

use crate::cu;
use crate::model::{Kind, Twin, blocks};
use crate::world::{Answer, World};

/// Rows of pitched memory begin at multiples of this.
const PITCH_BYTES: u64 = 512;

/// One call.
pub fn step(world: &mut World) {
    match world.bytes.below(8) {
        0..=2 => alloc(world),
        3 => pitched(world),
        4 => managed(world),
        5 => info(world),
        _ => free(world),
    }
}

fn place(null: bool, address: &mut CUdeviceptr) -> *mut CUdeviceptr {
    if null { null_mut() } else { address }
}

fn alloc(world: &mut World) {
    let (bytes, null) = (world.bytes.size(), world.bytes.one_in(40));
    if !world.has_room(Kind::Linear) {
        return free(world);
    }
    let bill = world.bill_here(blocks(bytes));
    let answer = world.call(
        || format!("cuMemAlloc_v2({null}, {bytes})"),
        &bill,
        |cuda, _, made| cu!(cuda, cuMemAlloc_v2(place(null, made), bytes as usize)),
    );
    world.made_here(answer, Kind::Linear, blocks(bytes));
}

fn pitched(world: &mut World) {
    let (width, height) = (world.bytes.edge(), world.bytes.edge());
    let element = world.bytes.one_of(&[4, 8, 16, 4, 8, 16, 0, 3]);
    let null = world.bytes.below(40);
    if !world.has_room(Kind::Linear) {
        return free(world);
    }
    let row = width.div_ceil(PITCH_BYTES).saturating_mul(PITCH_BYTES);
    let bytes = blocks(row.saturating_mul(height));
    let bill = world.bill_here(bytes);
    let answer = world.call(
        || format!("cuMemAllocPitch_v2({null}, {width}, {height}, {element})"),
        &bill,
        |cuda, _, made| {
            let mut pitch = 0;
            let pitch: *mut usize = if null == 1 { null_mut() } else { &mut pitch };
            cu!(
                cuda,
                cuMemAllocPitch_v2(
                    place(null == 0, made),
                    pitch,
                    width as usize,
                    height as usize,
                    element
                )
            )
        },
    );
    world.made_here(answer, Kind::Linear, bytes);
}

fn managed(world: &mut World) {
    let (bytes, flags) = (world.bytes.size(), world.bytes.one_of(&[1, 1, 2, 0, 7]));
    if !world.has_room(Kind::Linear) {
        return free(world);
    }
    let bill = world.bill_here(blocks(bytes));
    let answer = world.call(
        || format!("cuMemAllocManaged({bytes}, {flags})"),
        &bill,
        |cuda, _, made| cu!(cuda, cuMemAllocManaged(made, bytes as usize, flags)),
    );
    world.made_here(answer, Kind::Linear, blocks(bytes));
}

/// Frees something with the plain call, which also frees what came from a pool.
fn free(world: &mut World) {
    let good = world.of_kind(&[Kind::Linear, Kind::Linear, Kind::Pool]);
    let twin = world.pick(&good);
    release(world, twin);
}

/// `cuMemFree_v2`.
pub fn release(world: &mut World, twin: Twin) {
    world.model.pools.settled();
    let answer = world.call(
        || format!("cuMemFree_v2({twin:x?})"),
        &crate::model::Bill::Free,
        |cuda, side, _| cu!(cuda, cuMemFree_v2(twin.0[side])),
    );
    if !answer.is_success() || twin == Twin::default() {
        return;
    }
    match world.take(twin, &[Kind::Linear, Kind::Pool]) {
        Some(object) if object.kind == Kind::Pool => world.model.pools.freed(twin, false),
        Some(_) => {}
        None => {
            world.differ("something was freed that the model does not know".into());
        }
    }
}

/// Is what a program is told what is charged?
fn info(world: &mut World) {
    let mut told = [[0_usize; 2]; 2];
    // Without a quota the driver answers.
    let here = world.current().map(|it| world.model.contexts[it].device);
    if here.is_some_and(|device| world.model.quota_bytes[device].is_some()) {
        world.model.pools.settled();
    }
    let cells = std::cell::Cell::from_mut(&mut told[..]).as_slice_of_cells();
    let answer = world.call(
        || "cuMemGetInfo_v2".into(),
        &crate::model::Bill::Free,
        |cuda, side, _| {
            let (mut free, mut total) = (0, 0);
            let result = cu!(cuda, cuMemGetInfo_v2(&mut free, &mut total));
            cells[side].set([free, total]);
            result
        },
    );
    let ([free, total], [bare_free, bare_total]) = (told[0], told[1]);
    let Some(context) = world.current().filter(|_| answer != Answer::Failed) else {
        return;
    };
    let device = world.model.contexts[context].device;
    let (low, high) = world.model.bounds(device);
    let right = match world.model.quota_bytes[device] {
        Some(quota) => {
            let may_be = quota.saturating_sub(high)..=quota.saturating_sub(low);
            total as u64 == quota && may_be.contains(&(free as u64))
        }
        // Stream-ordered frees reach the two drivers at different times, and a refusal on one side makes that
        // driver give up what it keeps.
        None => {
            let kept = [0, 1].map(|side| world.kept_bytes(side, device));
            let alike = free as u64 + kept[0] == bare_free as u64 + kept[1];
            let is_known = world.work.is_quiet() && !world.model.pools.any_destroyed(device);
            total == bare_total && (alike || !is_known)
        }
    };
    if !right {
        world.differ(format!(
            "{free} of {total} bytes are free, {bare_free} of {bare_total} of the bare driver's"
        ));
    }
}
