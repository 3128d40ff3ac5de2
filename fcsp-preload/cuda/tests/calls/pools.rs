//! Stream-ordered memory and the pools it comes from; what they are charged is [`crate::pool_book`]'s business.

use cuda_sys::{
    CUcontext, CUmemAllocationType, CUmemLocationType, CUmemPool_attribute, CUmemPoolProps,
    CUmemoryPool, CUresult, CUstream,
};
use std::ptr::{null, null_mut};

use crate::model::{Bill, DEVICES, Kind, Object, Twin, blocks};
use crate::world::{Answer, World};
use crate::{cu, pool_book};

/// Pools of the program that live at once at most.
const POOLS_MAX: usize = 6;

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

/// Asks for the devices' own pools, once.
pub fn begin(world: &mut World) {
    for device in 0..DEVICES {
        if world.model.pools.default_of(device).is_some() {
            continue;
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
        world.model.pools.enter(twin, device, true, 0);
    }
}

/// A pool of any device, and now and then a wrong one.
fn any_pool(world: &mut World) -> Twin {
    let good: Vec<Twin> = world.model.pools.alive().map(|it| it.twin).collect();
    world.pick(&good)
}

/// The device of a stream; `None` if it is none of a living context.
fn device_of(world: &World, stream: Twin) -> Option<usize> {
    let mut streams = world.work.streams.iter();
    let owner = match streams.find(|(twin, _)| *twin == stream) {
        Some((_, owner)) => *owner,
        // The default streams are those of the current context.
        None if stream.0[0] <= 2 => world.current()?,
        None => return None,
    };
    let context = world.model.contexts[owner];
    context.alive.then_some(context.device)
}

/// The pool that `cuMemAllocAsync` takes from for a stream.
fn current_of(world: &World, stream: Twin) -> Option<Twin> {
    let device = device_of(world, stream)?;
    let mut handle = null_mut();
    let result = cu!(world.bare(), cuDeviceGetMemPool(&mut handle, device as i32));
    assert_eq!(result, CUresult::CUDA_SUCCESS);
    let mut pools = world.model.pools.alive();
    let found = pools.find(|pool| pool.twin.0[1] == handle as u64);
    found.map(|pool| pool.twin)
}

/// The context of a stream, for the two drivers: what is allocated in its order ends with that.
fn owner_of(world: &World, stream: Twin) -> Option<usize> {
    let mut context: CUcontext = null_mut();
    let stream = stream.0[1] as CUstream;
    let result = cu!(world.bare(), cuStreamGetCtx(stream, &mut context));
    let mut all = world.model.contexts.iter();
    let found = all.position(|it| it.alive && it.twin.0[1] == context as u64);
    found.filter(|_| result == CUresult::CUDA_SUCCESS)
}

/// Allocates in the order of any stream, from any pool or the one that is the stream's device's now.
fn alloc(world: &mut World) {
    if !world.has_room(Kind::Pool) {
        return free(world);
    }
    let (bytes, null) = (world.bytes.size(), world.bytes.one_in(40));
    let from_pool = world.bytes.one_in(3);
    let stream = if world.bytes.one_in(4) {
        world.stream()
    } else {
        world.stream_here()
    };
    let pool = if from_pool {
        any_pool(world)
    } else {
        // Of a stream that is none nothing comes, but the library looks at the current device's pool.
        let found = current_of(world, stream).or_else(|| current_of(world, Twin::default()));
        found.unwrap_or_default()
    };
    let known = world.model.pools.find(pool);
    let known = known.map(|pool| (pool.device, pool.limit_bytes));
    let is_captured = world.is_captured(stream);
    if is_captured.is_none() && !world.work.captures.is_empty() {
        // It is no stream, or a capture elsewhere forbids it; whether the library looks at the pool is open.
        return free(world);
    }
    let captured = is_captured == Some(true);
    let bill = match known {
        // For nothing the driver gives nothing, whatever the quota.
        _ if captured || bytes == 0 => Bill::Free,
        Some((device, limit)) if limit > 0 => Bill::LimitedPool(device, bytes),
        Some((device, _)) => Bill::Pool(device, bytes),
        None => Bill::Unsure(pool_book::worst_bytes(bytes).unwrap_or(bytes)),
    };
    if !captured && bytes > 0 && (from_pool || known.is_some()) {
        world.model.pools.used(pool);
    }
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
    if answer == Answer::Refused
        && let Some((device, _)) = known
    {
        check_all_was_tried(world, device, bytes);
    }
    if let Answer::ByOne(side, address) = answer {
        let stream = stream.0[side] as CUstream;
        let result = cu!(world.driver(side), cuMemFreeAsync(address, stream));
        assert_eq!(result, CUresult::CUDA_SUCCESS);
        world.work.submitted();
        return;
    }
    let Some(twin) = answer.made() else { return };
    world.work.submitted();
    let Some((device, _)) = known else {
        world.differ("memory from a pool that is none".into());
        return;
    };
    if world.is_captured(stream) == Some(true) {
        world.model.graphs.has_address(twin);
        return world.captured_alloc(stream, device, blocks(bytes));
    }
    let owner = owner_of(world, stream);
    world.model.pools.allocated(pool, twin, bytes);
    world.model.objects.push(Object {
        twin,
        kind: Kind::Pool,
        charges: vec![(device, bytes)],
        owner,
    });
}

/// Before an allocation is refused that fits then, all that pools do not use is given back, if one wait for everything can
/// do that.
/// Judged over all rounds: now and then (seen once in some four million calls) a free has not run by then.
fn check_all_was_tried(world: &mut World, device: usize, bytes: u64) {
    let worst = pool_book::worst_bytes(bytes).unwrap_or(u64::MAX);
    let idle_bytes = world.model.pools.idle_bytes(device);
    let others_bytes = world.used_bytes(device).saturating_sub(idle_bytes);
    let fits = world.model.quota_bytes[device]
        .is_some_and(|quota| others_bytes.saturating_add(worst) <= quota);
    if fits
        && world.only_context() == Some(device)
        && world.current().is_some()
        && world.work.captures.is_empty()
        && idle_bytes > 0
    {
        world.hasty += 1;
        eprintln!("refused while pools had {idle_bytes} bytes that nobody uses");
    }
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
    if !answer.is_success() {
        return;
    }
    world.work.submitted();
    let Some(object) = world.take(twin, &[Kind::Linear, Kind::Pool]) else {
        return;
    };
    if object.kind == Kind::Pool {
        return world.model.pools.freed(twin, true);
    }
    for (device, bytes) in object.charges {
        world.model.pools.leave(device, bytes, bytes);
    }
}

fn create(world: &mut World) {
    if world.model.pools.alive().count() >= POOLS_MAX + DEVICES {
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
        // All that can be counted is no limit.
        let limit_bytes = if max_bytes == usize::MAX {
            0
        } else {
            max_bytes as u64
        };
        let pools = &mut world.model.pools;
        pools.enter(twin, device as usize, false, limit_bytes);
    }
}

/// Destroys a pool, whatever is live of it.
fn destroy(world: &mut World) {
    let twin = any_pool(world);
    destroy_pool(world, twin);
}

fn destroy_pool(world: &mut World, twin: Twin) {
    world.model.pools.settled();
    let answer = world.call(
        || format!("cuMemPoolDestroy({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuMemPoolDestroy(twin.0[side] as CUmemoryPool)),
    );
    if answer.is_success() {
        world.model.pools.destroyed(twin);
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
    world.model.pools.settled();
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
    let made = world.model.pools.alive().filter(|it| !it.default);
    for twin in made.map(|it| it.twin).collect::<Vec<_>>() {
        destroy_pool(world, twin);
    }
    for device in 0..DEVICES {
        let twin = world.model.pools.default_of(device).unwrap_or_default();
        make_current(world, device as i32, twin);
        threshold(world, twin, 0);
        trim_to(world, twin, 0);
    }
}

/// Nothing may be left in the devices' own pools, on either side.
pub fn look_for_rests(world: &mut World) {
    for device in 0..DEVICES {
        let twin = world.model.pools.default_of(device).unwrap_or_default();
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
}
