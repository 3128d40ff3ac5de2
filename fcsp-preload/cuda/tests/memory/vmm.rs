//! Physical memory, its handles and its mappings.

use crate::support::{Library, MIB, TENANT};
use cuda_sys::{CUmemAllocationHandleType, CUmemAllocationProp, CUmemLocationType, CUresult};

fn create(cuda: &Library, mib: u64, shareable: bool) -> Result<u64, CUresult> {
    let mut prop = CUmemAllocationProp::default();
    // CU_MEM_ALLOCATION_TYPE_PINNED.
    prop.type_.0 = 1;
    prop.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    prop.requestedHandleTypes.0 = u32::from(shareable);
    let mut handle = 0;
    match cu!(
        cuda,
        cuMemCreate(&mut handle, (mib * MIB) as usize, &prop, 0)
    ) {
        CUresult::CUDA_SUCCESS => Ok(handle),
        refusal => Err(refusal),
    }
}

fn reserve(cuda: &Library, mib: u64) -> u64 {
    let mut address = 0;
    let bytes = (mib * MIB) as usize;
    ok!(cuda, cuMemAddressReserve(&mut address, bytes, 0, 0, 0));
    address
}

#[test]
fn physical_memory_is_charged_and_refused() {
    TENANT.run(crate::here!(), |cuda| {
        let handle = create(cuda, 1024, false).expect("fits");
        assert_eq!(cuda.charged_mib(), 1024);
        let refusal = create(cuda, 1024, false);
        assert_eq!(refusal, Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY));
        // The driver refuses what is not whole granules.
        let mut prop = CUmemAllocationProp::default();
        prop.type_.0 = 1;
        prop.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        assert_ne!(
            cu!(cuda, cuMemCreate(&mut 0, 4096, &prop, 0)),
            CUresult::CUDA_SUCCESS
        );
        assert_eq!(cuda.charged_mib(), 1024);
        ok!(cuda, cuMemRelease(handle));
        assert_eq!(cuda.charged_mib(), 0);
        assert_ne!(cu!(cuda, cuMemRelease(handle)), CUresult::CUDA_SUCCESS);
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn a_mapping_keeps_memory_charged_after_its_handle_is_released() {
    TENANT.run(crate::here!(), |cuda| {
        let handle = create(cuda, 64, false).expect("fits");
        let address = reserve(cuda, 128);
        let half = (64 * MIB) as usize;
        ok!(cuda, cuMemMap(address, half, 0, handle, 0));
        ok!(cuda, cuMemMap(address + half as u64, half, 0, handle, 0));
        ok!(cuda, cuMemRelease(handle));
        assert_eq!(cuda.charged_mib(), 64);
        ok!(cuda, cuMemUnmap(address, half));
        assert_eq!(cuda.charged_mib(), 64, "still mapped once");
        assert_ne!(cu!(cuda, cuMemUnmap(address, half)), CUresult::CUDA_SUCCESS);
        assert_eq!(cuda.charged_mib(), 64);
        ok!(cuda, cuMemUnmap(address + half as u64, half));
        assert_eq!(cuda.charged_mib(), 0);
        ok!(cuda, cuMemAddressFree(address, 2 * half));
    });
}

#[test]
fn one_unmap_may_end_several_mappings() {
    TENANT.run(crate::here!(), |cuda| {
        let address = reserve(cuda, 8);
        let part = (2 * MIB) as usize;
        for at in 0..4 {
            let handle = create(cuda, 2, false).expect("fits");
            ok!(cuda, cuMemMap(address + at * 2 * MIB, part, 0, handle, 0));
            ok!(cuda, cuMemRelease(handle));
        }
        assert_eq!(cuda.charged_mib(), 8);
        ok!(cuda, cuMemUnmap(address + 2 * MIB, 2 * part));
        assert_eq!(cuda.charged_mib(), 4);
        ok!(cuda, cuMemUnmap(address, part));
        ok!(cuda, cuMemUnmap(address + 6 * MIB, part));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn a_retained_handle_keeps_memory_charged() {
    TENANT.run(crate::here!(), |cuda| {
        let handle = create(cuda, 64, false).expect("fits");
        let address = reserve(cuda, 64);
        let bytes = (64 * MIB) as usize;
        ok!(cuda, cuMemMap(address, bytes, 0, handle, 0));
        let mut again = 0;
        let inside = (address + 4096) as *mut std::ffi::c_void;
        ok!(cuda, cuMemRetainAllocationHandle(&mut again, inside));
        ok!(cuda, cuMemRelease(handle));
        ok!(cuda, cuMemUnmap(address, bytes));
        assert_eq!(cuda.charged_mib(), 64);
        ok!(cuda, cuMemRelease(again));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn imported_memory_is_not_charged_again() {
    TENANT.run(crate::here!(), |cuda| {
        let handle = create(cuda, 64, true).expect("fits");
        let kind = CUmemAllocationHandleType::CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
        let mut fd = -1_i32;
        ok!(
            cuda,
            cuMemExportToShareableHandle((&raw mut fd).cast(), handle, kind, 0)
        );
        let mut import = 0;
        ok!(
            cuda,
            cuMemImportFromShareableHandle(&mut import, fd as usize as *mut _, kind)
        );
        assert_eq!(cuda.charged_mib(), 64);
        let address = reserve(cuda, 64);
        ok!(cuda, cuMemMap(address, (64 * MIB) as usize, 0, import, 0));
        ok!(cuda, cuMemRelease(import));
        assert_eq!(cuda.charged_mib(), 64);
        ok!(cuda, cuMemUnmap(address, (64 * MIB) as usize));
        assert_eq!(cuda.charged_mib(), 64);
        ok!(cuda, cuMemRelease(handle));
        assert_eq!(cuda.charged_mib(), 0);
    });
}
