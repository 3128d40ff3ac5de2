//! Virtual memory management: physical memory lives while a handle or a mapping of it does.

use cuda_sys::{CUmemAllocationProp, CUmemLocationType};
use std::ffi::c_void;
use std::ptr::{null, null_mut};

use crate::cu;
use crate::model::{Bill, Twin};
use crate::world::{OBJECTS_MAX, World};

const BLOCK_BYTES: u64 = 2 << 20;

/// Reservations, handles and mappings; physical memory is in the model.
#[derive(Default)]
pub struct Book {
    reserved: Vec<(Twin, u64)>,
    handles: Vec<(Twin, usize)>,
    mappings: Vec<(Twin, u64, usize)>,
}

impl Book {
    /// Reserved addresses.
    pub fn addresses(&self) -> impl Iterator<Item = Twin> {
        self.reserved.iter().map(|(twin, _)| *twin)
    }
}

/// One call.
pub fn step(world: &mut World) {
    match world.bytes.below(16) {
        0..=3 => create(world),
        4..=6 => release(world),
        7..=8 => reserve(world),
        9 => address_free(world),
        10..=12 => map(world),
        13..=14 => unmap(world),
        _ => retain(world),
    }
}

fn create(world: &mut World) {
    if world.vmm.handles.len() >= OBJECTS_MAX {
        return release(world);
    }
    let bytes = match world.bytes.below(8) {
        0 => world.bytes.size(),
        _ => (1 + world.bytes.number() % 256) * BLOCK_BYTES,
    };
    let device = world.bytes.one_of(&[0, 0, 0, 1, 1, 1, -1, 5]);
    let kind = world.bytes.one_of(&[1, 1, 1, 1, 1, 1, 1, 0, 3]);
    let flags = world.bytes.one_of(&[0, 0, 0, 0, 0, 0, 0, 1]);
    let null_at = world.bytes.below(60);
    let mut prop = CUmemAllocationProp::default();
    prop.type_.0 = 1;
    prop.location.type_ = CUmemLocationType(kind);
    prop.location.id = device;
    let on_device =
        (0..2).contains(&device) && kind == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE.0;
    let bill = if on_device && null_at != 1 {
        Bill::Of(vec![(device as usize, bytes)])
    } else {
        Bill::Free
    };
    let answer = world.call(
        || format!("cuMemCreate({null_at}, {bytes}, kind {kind}, device {device}, {flags})"),
        &bill,
        |cuda, _, made| {
            let place = if null_at == 0 { null_mut() } else { made };
            let prop = if null_at == 1 {
                null()
            } else {
                &raw const prop
            };
            cu!(cuda, cuMemCreate(place, bytes as usize, prop, flags))
        },
    );
    if let Some(twin) = answer.made() {
        world.model.physical.push((device as usize, bytes, 1));
        let number = world.model.physical.len() - 1;
        world.vmm.handles.push((twin, number));
    }
}

fn handle(world: &mut World) -> Twin {
    let good: Vec<Twin> = world.vmm.handles.iter().map(|(twin, _)| *twin).collect();
    world.pick(&good)
}

fn release(world: &mut World) {
    let twin = handle(world);
    release_handle(world, twin);
}

fn release_handle(world: &mut World, twin: Twin) {
    let answer = world.call(
        || format!("cuMemRelease({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuMemRelease(twin.0[side])),
    );
    if answer.is_success()
        && let Some(at) = world.vmm.handles.iter().position(|(it, _)| *it == twin)
    {
        let (_, number) = world.vmm.handles.swap_remove(at);
        world.model.physical[number].2 -= 1;
        world.outlived(twin);
    }
}

fn reserve(world: &mut World) {
    if world.vmm.reserved.len() >= OBJECTS_MAX {
        return address_free(world);
    }
    let bytes = match world.bytes.below(8) {
        0 => world.bytes.size() % (1 << 40),
        _ => (1 + world.bytes.number() % 512) * BLOCK_BYTES,
    };
    let answer = world.call(
        || format!("cuMemAddressReserve({bytes})"),
        &Bill::Free,
        |cuda, _, made| cu!(cuda, cuMemAddressReserve(made, bytes as usize, 0, 0, 0)),
    );
    if let Some(twin) = answer.made() {
        world.vmm.reserved.push((twin, bytes));
    }
}

fn address_free(world: &mut World) {
    let good: Vec<Twin> = world.vmm.reserved.iter().map(|(twin, _)| *twin).collect();
    let twin = world.pick(&good);
    let known = world
        .vmm
        .reserved
        .iter()
        .find(|(it, _)| *it == twin)
        .map(|(_, bytes)| *bytes);
    let bytes = if world.bytes.one_in(8) {
        world.bytes.size()
    } else {
        known.unwrap_or(BLOCK_BYTES)
    };
    free_address(world, twin, bytes);
}

fn free_address(world: &mut World, twin: Twin, bytes: u64) {
    let answer = world.call(
        || format!("cuMemAddressFree({twin:x?}, {bytes})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuMemAddressFree(twin.0[side], bytes as usize)),
    );
    if answer.is_success() {
        world.vmm.reserved.retain(|(it, _)| *it != twin);
    }
}

/// Maps a handle's memory somewhere in a reservation.
fn map(world: &mut World) {
    let twin = handle(world);
    let number = world
        .vmm
        .handles
        .iter()
        .find(|(it, _)| *it == twin)
        .map(|(_, number)| *number);
    let true_bytes = number.map_or(BLOCK_BYTES, |number| world.model.physical[number].1);
    let good: Vec<Twin> = world.vmm.addresses().collect();
    let start = world.pick(&good);
    let room = world
        .vmm
        .reserved
        .iter()
        .find(|(it, _)| *it == start)
        .map_or(0, |(_, bytes)| *bytes);
    let blocks = room.saturating_sub(true_bytes) / BLOCK_BYTES;
    let offset = if blocks == 0 {
        0
    } else {
        world.bytes.number() % (blocks + 1) * BLOCK_BYTES
    };
    let place = Twin(start.0.map(|it| it.wrapping_add(offset)));
    let bytes = if world.bytes.one_in(12) {
        world.bytes.size()
    } else {
        true_bytes
    };
    let (inside, flags) = (
        world.bytes.one_of(&[0, 0, 0, 0, 0, 0, 0, 512]),
        world.bytes.one_of(&[0, 0, 0, 0, 0, 0, 0, 1]),
    );
    let answer = world.call(
        || format!("cuMemMap({place:x?}, {bytes}, {inside}, {twin:x?}, {flags})"),
        &Bill::Free,
        |cuda, side, _| {
            cu!(
                cuda,
                cuMemMap(place.0[side], bytes as usize, inside, twin.0[side], flags)
            )
        },
    );
    if answer.is_success() {
        let Some(number) = number else {
            world.differ("what nobody made was mapped".into());
            return;
        };
        world.model.physical[number].2 += 1;
        world.vmm.mappings.push((place, bytes, number));
    }
}

fn unmap(world: &mut World) {
    let good: Vec<Twin> = world
        .vmm
        .mappings
        .iter()
        .map(|(twin, _, _)| *twin)
        .collect();
    let twin = world.pick(&good);
    let known = world
        .vmm
        .mappings
        .iter()
        .find(|(it, _, _)| *it == twin)
        .map(|(_, bytes, _)| *bytes);
    let bytes = match world.bytes.below(12) {
        0 => world.bytes.size(),
        // Perhaps several mappings at once.
        1 => known.unwrap_or(0).saturating_mul(2),
        _ => known.unwrap_or(BLOCK_BYTES),
    };
    unmap_range(world, twin, bytes);
}

fn unmap_range(world: &mut World, twin: Twin, bytes: u64) {
    let answer = world.call(
        || format!("cuMemUnmap({twin:x?}, {bytes})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuMemUnmap(twin.0[side], bytes as usize)),
    );
    if answer.is_success() {
        let inside =
            |it: &(Twin, u64, usize)| it.0.0[0] >= twin.0[0] && it.0.0[0] - twin.0[0] < bytes;
        let (gone, left) = std::mem::take(&mut world.vmm.mappings)
            .into_iter()
            .partition(inside);
        world.vmm.mappings = left;
        for (_, _, number) in gone {
            world.model.physical[number].2 -= 1;
        }
    }
}

/// Another handle of what is mapped.
fn retain(world: &mut World) {
    if world.vmm.handles.len() >= OBJECTS_MAX {
        return release(world);
    }
    let good: Vec<Twin> = world
        .vmm
        .mappings
        .iter()
        .map(|(twin, _, _)| *twin)
        .collect();
    let twin = world.pick(&good);
    let null = world.bytes.one_in(30);
    let answer = world.call(
        || format!("cuMemRetainAllocationHandle({null}, {twin:x?})"),
        &Bill::Free,
        |cuda, side, made| {
            let place = if null { null_mut() } else { made };
            cu!(
                cuda,
                cuMemRetainAllocationHandle(place, twin.0[side] as *mut c_void)
            )
        },
    );
    let Some(made) = answer.made() else { return };
    let inside = |it: &&(Twin, u64, usize)| twin.0[0] >= it.0.0[0] && twin.0[0] - it.0.0[0] < it.1;
    match world
        .vmm
        .mappings
        .iter()
        .find(inside)
        .map(|(_, _, number)| *number)
    {
        Some(number) => {
            world.model.physical[number].2 += 1;
            world.vmm.handles.push((made, number));
        }
        None => {
            world.differ("what nobody mapped was retained".into());
        }
    }
}

/// Gives everything back.
pub fn tidy(world: &mut World) {
    while let Some((twin, bytes, _)) = world.vmm.mappings.last().copied() {
        unmap_range(world, twin, bytes);
        if world.difference.is_some() {
            return;
        }
    }
    for (twin, _) in world.vmm.handles.clone() {
        release_handle(world, twin);
    }
    for (twin, bytes) in world.vmm.reserved.clone() {
        free_address(world, twin, bytes);
    }
}
