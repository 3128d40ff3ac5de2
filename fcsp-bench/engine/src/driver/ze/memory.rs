//! Memory, asked for in every way that there is.

use super::super::api::call;
use super::super::{Address, Block, Done, ROW_BYTES};
use super::{Ze, number, place};
use crate::protocol::Way;
use level_zero_sys::*;
use std::ptr::{null, null_mut};

impl Ze {
    /// Memory in that way.
    pub(super) fn take(&self, way: Way, bytes: u64) -> Done<Block> {
        let (api, size) = (&self.api, bytes as usize);
        let mut desc = Self::device_desc();
        // More than a driver thinks that a kernel can index has to be asked for.
        let relaxed = ze_relaxed_allocation_limits_exp_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_RELAXED_ALLOCATION_LIMITS_EXP_DESC,
            flags: ze_relaxed_allocation_limits_exp_flag_t::ZE_RELAXED_ALLOCATION_LIMITS_EXP_FLAG_MAX_SIZE.0,
            ..Default::default()
        };
        if bytes > self.properties.maxMemAllocSize {
            desc.pNext = (&raw const relaxed).cast();
        }
        let mut start = null_mut();
        match way {
            // SAFETY: a live out-parameter and descriptions.
            Way::Plain => unsafe {
                call!(
                    api,
                    mem_device(self.context, &desc, size, 0, self.device, &mut start)
                )?;
                Ok(Block::Plain(number(start)))
            },
            Way::Managed => {
                let host = ze_host_mem_alloc_desc_t {
                    stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC,
                    ..Default::default()
                };
                // SAFETY: as above.
                unsafe {
                    call!(
                        api,
                        mem_shared(self.context, &desc, &host, size, 0, self.device, &mut start)
                    )
                }?;
                Ok(Block::Plain(number(start)))
            }
            Way::Virtual => self.map(bytes),
            Way::Array => self.image(bytes),
            Way::Pitch => Self::lacks("pitched memory"),
            Way::Pool => Self::lacks("pools of memory"),
        }
    }

    /// Gives it back.
    pub(super) fn give(&self, block: Block) -> Done<()> {
        let api = &self.api;
        // SAFETY: allocated by `take`, each undone once.
        unsafe {
            match block {
                Block::Plain(address) | Block::Pool(address) => {
                    call!(api, mem_free(self.context, place(address)))
                }
                Block::Virtual {
                    handle,
                    address,
                    bytes,
                } => {
                    let start = place(address);
                    call!(api, virtual_unmap(self.context, start, bytes))?;
                    call!(api, virtual_free(self.context, start, bytes))?;
                    call!(api, physical_destroy(self.context, place(handle).cast()))
                }
                Block::Array(image) => call!(api, image_destroy(image.cast())),
            }
        }
    }

    fn map(&self, bytes: u64) -> Done<Block> {
        let api = &self.api;
        let mut page = 0;
        // SAFETY: a live out-parameter.
        unsafe {
            call!(
                api,
                virtual_page(self.context, self.device, bytes as usize, &mut page)
            )
        }?;
        let bytes = (bytes as usize).next_multiple_of(page.max(1));
        let mut desc = ze_physical_mem_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_PHYSICAL_MEM_DESC,
            size: bytes,
            ..Default::default()
        };
        let mut physical = null_mut();
        // SAFETY: a live out-parameter and description.
        unsafe {
            call!(
                api,
                physical_create(self.context, self.device, &mut desc, &mut physical)
            )
        }?;
        let mapped = (|| {
            let mut start = null_mut();
            let access = ze_memory_access_attribute_t::ZE_MEMORY_ACCESS_ATTRIBUTE_READWRITE;
            // SAFETY: a live out-parameter; reserved of that size; live physical memory of that size.
            unsafe {
                call!(
                    api,
                    virtual_reserve(self.context, null(), bytes, &mut start)
                )?;
                call!(
                    api,
                    virtual_map(self.context, start, bytes, physical, 0, access)
                )?;
            }
            Ok(start)
        })();
        match mapped {
            Ok(start) => Ok(Block::Virtual {
                handle: number(physical),
                address: number(start),
                bytes,
            }),
            Err(trouble) => {
                // SAFETY: created above and used by nobody. That it fails is less than what went wrong.
                let _destroyed = unsafe { call!(api, physical_destroy(self.context, physical)) };
                Err(trouble)
            }
        }
    }

    /// A row of four numbers of 32 bits to the image's width, as arrays have it elsewhere.
    fn image(&self, bytes: u64) -> Done<Block> {
        use ze_image_format_swizzle_t as S;
        let desc = ze_image_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_IMAGE_DESC,
            type_: ze_image_type_t::ZE_IMAGE_TYPE_2D,
            format: ze_image_format_t {
                layout: ze_image_format_layout_t::ZE_IMAGE_FORMAT_LAYOUT_32_32_32_32,
                type_: ze_image_format_type_t::ZE_IMAGE_FORMAT_TYPE_UINT,
                x: S::ZE_IMAGE_FORMAT_SWIZZLE_R,
                y: S::ZE_IMAGE_FORMAT_SWIZZLE_G,
                z: S::ZE_IMAGE_FORMAT_SWIZZLE_B,
                w: S::ZE_IMAGE_FORMAT_SWIZZLE_A,
            },
            width: ROW_BYTES / 16,
            height: bytes.div_ceil(ROW_BYTES) as u32,
            depth: 1,
            ..Default::default()
        };
        let mut image = null_mut();
        // SAFETY: a live out-parameter and description.
        unsafe {
            call!(
                self.api,
                image_create(self.context, self.device, &desc, &mut image)
            )
        }?;
        Ok(Block::Array(image.cast()))
    }

    fn device_desc() -> ze_device_mem_alloc_desc_t {
        ze_device_mem_alloc_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC,
            ..Default::default()
        }
    }

    /// Whether it is memory that this process has of the driver.
    pub(super) fn knows(&self, address: Address) -> Done<bool> {
        let mut properties = ze_memory_allocation_properties_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_MEMORY_ALLOCATION_PROPERTIES,
            ..Default::default()
        };
        // SAFETY: a live out-parameter, no other; the driver looks the address up.
        unsafe {
            call!(
                self.api,
                mem_kind(self.context, place(address), &mut properties, null_mut())
            )
        }?;
        Ok(properties.type_ != ze_memory_type_t::ZE_MEMORY_TYPE_UNKNOWN)
    }
}
