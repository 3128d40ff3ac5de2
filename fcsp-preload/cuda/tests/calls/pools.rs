//! Stream-ordered memory and the pools it comes from.
//!
//! How much a pool that keeps memory is charged, and until when, is the only part of the model that is not exact:
//! [`bounds`] says in one place what it may be.

use cuda_sys::{
    CUmemAllocationType, CUmemLocationType, CUmemPool_attribute, CUmemPoolProps, CUmemoryPool,
    CUstream,
};
use std::ptr::{null, null_mut};

use crate::cu;
use crate::model::{Bill, DEVICES, Kind, Model, Object, Twin, blocks};
use crate::world::World;

/// What pools take from the device at a time, at most.
const CHUNK_BYTES: u64 = 32 << 20;
const POOLS_MAX: usize = 6;

/// The pools of the program, and what may be kept.
#[derive(Default)]
pub struct Kept {
    /// Made by the program: names and device.
    pub pools: Vec<(Twin, usize)>,
    /// Whether anything was allocated from a pool since all were last seen empty.
    touched: bool,
    /// The most that was live at once since then.
    peak_bytes: u64,
    /// What was live when its context ended: the library may know it by its pool, not by its context.
    orphaned_bytes: u64,
    /// The names of the devices' own pools, once asked for.
    default: [Option<Twin>; DEVICES],
}

/// What pools are charged: while any is in use, something up to what all of them may hold to serve the most there
/// ever was, in whole chunks, and on either device; nothing without a context.
pub fn bounds(model: &Model, device: usize) -> (u64, u64) {
    if !model.has_context(device) {
        return (0, 0);
    }
    let kept = &model.pools;
    if !kept.touched {
        return (0, kept.orphaned_bytes);
    }
    let pools = (kept.pools.len() + POOLS_MAX + DEVICES) as u64;
    let slack = pools * CHUNK_BYTES + kept.orphaned_bytes;
    (0, kept.peak_bytes.saturating_mul(3).saturating_add(slack))
}

/// The context of an object is gone.
pub fn orphan(kept: &mut Kept, object: &Object) {
    for (_, bytes) in object.charges.iter().filter(|_| object.kind == Kind::Pool) {
        kept.orphaned_bytes += blocks(*bytes);
    }
}

/// One call.
pub fn step(world: &mut World) {
    match world.bytes.below(16) {
        0..=4 => alloc(world),
        5..=9 => free(world),
        10 => create(world),
        11 => destroy(world),
        12 => set_threshold(world),
        13 => trim(world),
        14 => set_current(world),
        _ => look(world),
    }
}

/// The device's own pool.
fn default_pool(world: &mut World, device: usize) -> Twin {
    if let Some(twin) = world.model.pools.default[device] {
        return twin;
    }
    let answer = world.call(
        || format!("cuDeviceGetDefaultMemPool({device})"),
        &Bill::Free,
        |cuda, _, made| {
            let mut pool = null_mut();
            let result = cu!(cuda, cuDeviceGetDefaultMemPool(&mut pool, device as i32));
            *made = pool as u64;
            result
        },
    );
    let twin = answer.made().unwrap_or_default();
    world.model.pools.default[device] = Some(twin);
    twin
}

fn any_pool(world: &mut World) -> Twin {
    let mut good: Vec<Twin> = world
        .model
        .pools
        .pools
        .iter()
        .map(|(twin, _)| *twin)
        .collect();
    good.extend((0..DEVICES).map(|device| default_pool(world, device)));
    world.pick(&good)
}

/// A pool of the current context's device.
fn pool_here(world: &mut World) -> Twin {
    let Some(context) = world.current() else {
        return any_pool(world);
    };
    let here = world.model.contexts[context].device;
    let pools = world.model.pools.pools.iter();
    let mut good: Vec<Twin> = pools
        .filter(|(_, device)| *device == here)
        .map(|(twin, _)| *twin)
        .collect();
    good.push(default_pool(world, here));
    world.pick(&good)
}

/// Allocates in the order of a stream of the current context, from a pool of its device: from another device's the
/// charge is where the pool's part of the library says.
fn alloc(world: &mut World) {
    if !world.has_room(Kind::Pool) {
        return free(world);
    }
    let (bytes, null) = (world.bytes.size(), world.bytes.one_in(40));
    let from_pool = world.bytes.one_in(3);
    let pool = if from_pool {
        pool_here(world)
    } else {
        Twin::default()
    };
    let stream = world.stream_here();
    let device = match world
        .model
        .pools
        .pools
        .iter()
        .find(|(twin, _)| from_pool && *twin == pool)
    {
        Some((_, device)) => Some(*device),
        None => (0..DEVICES)
            .find(|device| from_pool && world.model.pools.default[*device] == Some(pool)),
    };
    let here = world
        .current()
        .map(|context| world.model.contexts[context].device);
    let captured = world.is_captured(stream) == Some(true);
    // Whose quota refuses it is the pools' part of the library to say.
    let bill = if captured {
        Bill::Free
    } else {
        Bill::Unsure(bytes)
    };
    let answer = world.call(
        || {
            format!(
                "cuMemAlloc{}Async({null}, {bytes}, {pool:x?}, {stream:x?})",
                if from_pool { "FromPool" } else { "" }
            )
        },
        &bill,
        |cuda, side, made| {
            let place = if null { null_mut() } else { made };
            let stream = stream.0[side] as CUstream;
            if from_pool {
                let pool = pool.0[side] as CUmemoryPool;
                cu!(
                    cuda,
                    cuMemAllocFromPoolAsync(place, bytes as usize, pool, stream)
                )
            } else {
                cu!(cuda, cuMemAllocAsync(place, bytes as usize, stream))
            }
        },
    );
    let Some(twin) = answer.made() else { return };
    world.work.submitted();
    // The pool's device has the memory.
    let device = device.or(here).unwrap_or(0);
    if captured {
        world.model.graphs.has_address(twin);
        return world.captured_alloc(stream, device, blocks(bytes));
    }
    let owner = world.current();
    let charges = vec![(device, bytes)];
    world.model.objects.push(Object {
        twin,
        kind: Kind::Pool,
        charges,
        owner,
    });
    let live: u64 = world
        .model
        .objects
        .iter()
        .filter(|it| it.kind == Kind::Pool)
        .flat_map(|it| &it.charges)
        .map(|(_, bytes)| blocks(*bytes))
        .sum();
    let kept = &mut world.model.pools;
    kept.touched = true;
    kept.peak_bytes = kept.peak_bytes.max(live);
}

/// Frees in the order of a stream; the plain kind of memory may be freed so as well.
fn free(world: &mut World) {
    let good = world.of_kind(&[Kind::Pool, Kind::Pool, Kind::Linear]);
    let (twin, stream) = (world.pick(&good), world.stream_here());
    let answer = world.call(
        || format!("cuMemFreeAsync({twin:x?}, {stream:x?})"),
        &Bill::Free,
        |cuda, side, _| {
            cu!(
                cuda,
                cuMemFreeAsync(twin.0[side], stream.0[side] as CUstream)
            )
        },
    );
    if answer.is_success() {
        world.work.submitted();
        world.take(twin, &[Kind::Linear, Kind::Pool]);
    }
}

fn create(world: &mut World) {
    if world.model.pools.pools.len() >= POOLS_MAX {
        return destroy(world);
    }
    let device = world.bytes.one_of(&[0, 0, 1, 1, 1, -1, 9]);
    let max_bytes = world.bytes.one_of(&[0, 0, 0, 64 << 20, usize::MAX]);
    let (null_props, null_place) = (world.bytes.one_in(30), world.bytes.one_in(30));
    let mut props = CUmemPoolProps {
        allocType: CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED,
        maxSize: max_bytes,
        ..CUmemPoolProps::default()
    };
    props.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    props.location.id = device;
    let answer = world.call(
        || {
            format!(
                "cuMemPoolCreate({null_place}, {null_props}, device {device}, at most {max_bytes})"
            )
        },
        &Bill::Free,
        |cuda, _, made| {
            let mut pool = null_mut();
            let place = if null_place {
                null_mut()
            } else {
                &raw mut pool
            };
            let result = cu!(
                cuda,
                cuMemPoolCreate(place, if null_props { null() } else { &props })
            );
            *made = pool as u64;
            result
        },
    );
    if let Some(twin) = answer.made() {
        world.model.pools.pools.push((twin, device as usize));
    }
}

/// Destroys a pool of which nothing is live: what becomes of the rest is the pools' part of the library to say.
fn destroy(world: &mut World) {
    if !world.of_kind(&[Kind::Pool]).is_empty() {
        return free(world);
    }
    let twin = any_pool(world);
    destroy_pool(world, twin);
}

fn destroy_pool(world: &mut World, twin: Twin) {
    let answer = world.call(
        || format!("cuMemPoolDestroy({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuMemPoolDestroy(twin.0[side] as CUmemoryPool)),
    );
    if answer.is_success() {
        world.model.pools.pools.retain(|(it, _)| *it != twin);
        world.outlived(twin);
    }
}

fn set_threshold(world: &mut World) {
    let twin = any_pool(world);
    let bytes = world
        .bytes
        .one_of(&[0, 0, 1 << 20, 64 << 20, 1 << 30, u64::MAX]);
    threshold(world, twin, bytes);
}

fn threshold(world: &mut World, twin: Twin, bytes: u64) {
    world.call(
        || format!("cuMemPoolSetAttribute({twin:x?}, threshold, {bytes})"),
        &Bill::Free,
        |cuda, side, _| {
            let mut bytes = bytes;
            let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            cu!(
                cuda,
                cuMemPoolSetAttribute(
                    twin.0[side] as CUmemoryPool,
                    attribute,
                    (&raw mut bytes).cast()
                )
            )
        },
    );
}

fn trim(world: &mut World) {
    let twin = any_pool(world);
    let keep_bytes = world.bytes.one_of(&[0, 0, 1 << 20, usize::MAX]);
    trim_to(world, twin, keep_bytes);
}

fn trim_to(world: &mut World, twin: Twin, keep_bytes: usize) {
    world.call(
        || format!("cuMemPoolTrimTo({twin:x?}, {keep_bytes})"),
        &Bill::Free,
        |cuda, side, _| {
            cu!(
                cuda,
                cuMemPoolTrimTo(twin.0[side] as CUmemoryPool, keep_bytes)
            )
        },
    );
}

fn set_current(world: &mut World) {
    let device = world.bytes.one_of(&[0, 0, 1, 1, -1, 7]);
    let twin = any_pool(world);
    make_current(world, device, twin);
}

fn make_current(world: &mut World, device: i32, twin: Twin) {
    world.call(
        || format!("cuDeviceSetMemPool({device}, {twin:x?})"),
        &Bill::Free,
        |cuda, side, _| {
            cu!(
                cuda,
                cuDeviceSetMemPool(device, twin.0[side] as CUmemoryPool)
            )
        },
    );
}

/// Calls that only ask, with answers that are the same for both.
fn look(world: &mut World) {
    let twin = any_pool(world);
    let attribute = world.bytes.one_of(&[1, 2, 3, 4, 0, 99]);
    world.call(
        || format!("cuMemPoolGetAttribute({twin:x?}, {attribute})"),
        &Bill::Free,
        |cuda, side, made| {
            let attribute = CUmemPool_attribute(attribute);
            cu!(
                cuda,
                cuMemPoolGetAttribute(
                    twin.0[side] as CUmemoryPool,
                    attribute,
                    std::ptr::from_mut(made).cast()
                )
            )
        },
    );
}

/// Frees, trims and destroys everything, and makes the devices' pools as they were.
pub fn tidy(world: &mut World) {
    for twin in world.of_kind(&[Kind::Pool]) {
        crate::linear::release(world, twin);
    }
    for (twin, _) in std::mem::take(&mut world.model.pools.pools) {
        destroy_pool(world, twin);
    }
    for device in 0..DEVICES {
        let twin = default_pool(world, device);
        make_current(world, device as i32, twin);
        threshold(world, twin, 0);
        trim_to(world, twin, 0);
    }
}

/// Nothing may be left in a device's own pool, on either side.
fn look_for_rest(world: &mut World, device: usize) {
    let twin = default_pool(world, device);
    let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT;
    let answer = world.call(
        || format!("cuMemPoolGetAttribute({twin:x?}, reserved)"),
        &Bill::Free,
        |cuda, side, made| {
            let pool = twin.0[side] as CUmemoryPool;
            cu!(
                cuda,
                cuMemPoolGetAttribute(pool, attribute, std::ptr::from_mut(made).cast())
            )
        },
    );
    if answer.made().is_some_and(|it| it != Twin::default()) {
        world.differ(format!(
            "the pool of device {device} still holds {:?} bytes",
            answer.made()
        ));
    }
}

/// No context is left.
pub fn forget(world: &mut World) {
    let kept = &mut world.model.pools;
    (kept.touched, kept.peak_bytes, kept.orphaned_bytes) = (false, 0, 0);
    for device in 0..DEVICES {
        look_for_rest(world, device);
    }
}
