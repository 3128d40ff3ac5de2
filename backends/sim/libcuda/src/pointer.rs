//! `cuPointerGetAttribute`: what the driver knows about an address.

use crate::border::{Outcome, put, rc, require};
use crate::context::current;
use crate::memory::{self, Allocation, Kind};
use crate::types::*;
use cuda_sys::{CUmemorytype, CUpointer_attribute};
use std::ffi::{c_int, c_uint, c_void};

/// Writes one attribute, each in its own type.
unsafe fn answer(
    place: *mut c_void,
    attribute: CUpointer_attribute,
    address: u64,
    found: &Allocation,
) -> Outcome {
    type A = CUpointer_attribute;
    let on_host = matches!(found.kind, Kind::Host(_) | Kind::Registered(_));
    let managed = found.kind == Kind::Managed;
    // SAFETY: cuda.h states the type of each attribute; the caller's pointer is to that type.
    unsafe {
        match attribute {
            A::CU_POINTER_ATTRIBUTE_CONTEXT => put(place.cast(), memory::context_handle(found)),
            A::CU_POINTER_ATTRIBUTE_MEMORY_TYPE => {
                let kind = if on_host {
                    CUmemorytype::CU_MEMORYTYPE_HOST
                } else {
                    CUmemorytype::CU_MEMORYTYPE_DEVICE
                };
                put(place.cast(), kind)
            }
            A::CU_POINTER_ATTRIBUTE_DEVICE_POINTER => put(place.cast::<Address>(), address),
            A::CU_POINTER_ATTRIBUTE_HOST_POINTER => {
                require(on_host || managed, rc::INVALID_VALUE)?;
                put(place.cast::<u64>(), address)
            }
            A::CU_POINTER_ATTRIBUTE_SYNC_MEMOPS => put(place.cast::<c_uint>(), 0),
            A::CU_POINTER_ATTRIBUTE_BUFFER_ID => put(place.cast::<u64>(), found.id),
            A::CU_POINTER_ATTRIBUTE_IS_MANAGED => {
                put(place.cast::<c_uint>(), c_uint::from(managed))
            }
            A::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL => put(place.cast::<c_int>(), found.ordinal),
            A::CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE => put(
                place.cast::<c_uint>(),
                c_uint::from(matches!(found.kind, Kind::Device | Kind::Variable)),
            ),
            A::CU_POINTER_ATTRIBUTE_RANGE_START_ADDR => put(place.cast::<u64>(), found.base),
            A::CU_POINTER_ATTRIBUTE_RANGE_SIZE => put(place.cast::<usize>(), found.bytes as usize),
            A::CU_POINTER_ATTRIBUTE_MAPPED => put(place.cast::<c_uint>(), 1),
            A::CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES => put(place.cast::<u64>(), 0),
            // 3 is read and write.
            A::CU_POINTER_ATTRIBUTE_ACCESS_FLAGS => put(place.cast::<c_uint>(), 3),
            A::CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE => {
                let pool = if let Kind::Pool(pool) = found.kind {
                    pool
                } else {
                    0
                };
                put(place.cast::<u64>(), pool)
            }
            _ => Err(rc::NOT_SUPPORTED),
        }
    }
}

/// `cuPointerGetAttribute`.
pub unsafe fn attribute(
    place: *mut c_void,
    attribute: CUpointer_attribute,
    address: Address,
) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    current()?;
    let found = memory::find(address).ok_or(rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe { answer(place, attribute, address, &found) }
}

/// `cuPointerGetAttributes`: what cannot be answered is zero.
pub unsafe fn attributes(
    count: c_uint,
    list: *mut CUpointer_attribute,
    places: *mut *mut c_void,
    address: Address,
) -> Outcome {
    require(!list.is_null() && !places.is_null(), rc::INVALID_VALUE)?;
    current()?;
    let found = memory::find(address);
    for at in 0..count as usize {
        // SAFETY: the caller passed `count` attributes and as many places.
        let (wanted, place) = unsafe { (*list.add(at), *places.add(at)) };
        require(!place.is_null(), rc::INVALID_VALUE)?;
        let answered: Result<(), Failure> = match &found {
            // SAFETY: the same contract.
            Some(found) => unsafe { answer(place, wanted, address, found) },
            None => Err(rc::INVALID_VALUE),
        };
        if answered.is_err() {
            // SAFETY: every attribute has at least 4 bytes; those of 8 are numbers or pointers.
            unsafe {
                place
                    .cast::<c_int>()
                    .write(if found.is_none() && is_ordinal(wanted) {
                        -2
                    } else {
                        0
                    })
            };
        }
    }
    Ok(())
}

/// An address nobody knows has no device, which the driver says with -2.
fn is_ordinal(attribute: CUpointer_attribute) -> bool {
    attribute == CUpointer_attribute::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
}

/// `cuPointerSetAttribute`: synchronous memory operations are a hint nothing depends on here.
pub unsafe fn set_attribute(
    value: *const c_void,
    attribute: CUpointer_attribute,
    address: Address,
) -> Outcome {
    require(!value.is_null(), rc::INVALID_VALUE)?;
    let settable = attribute == CUpointer_attribute::CU_POINTER_ATTRIBUTE_SYNC_MEMOPS;
    require(settable, rc::INVALID_VALUE)?;
    memory::find(address).map(drop).ok_or(rc::INVALID_VALUE)
}
