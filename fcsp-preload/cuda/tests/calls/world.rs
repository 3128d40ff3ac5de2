//! Two drivers side by side: the one behind the preload library, and a second copy of the simulated driver
//! that nobody stands before. Every call goes to both, with each one's own handles.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use cuda_sys::{CUresult, CUuuid};

use crate::bytes::Bytes;
use crate::cu;
use crate::model::{Bill, Context, DEVICES, Kind, Model, Object, Twin};
use crate::support::TENANT;
use crate::support::books::Books;
use crate::support::library::Library;
use crate::{ask::Ask, pool_book, vmm, work};

/// Objects of a kind that are kept at most.
pub const OBJECTS_MAX: usize = 48;
/// Handles of things that are gone, kept to be used again.
/// Most that a pool is charged beyond what it has until it is settled (`Device::slack_bytes` of the library).
const SETTLED_LATER_BYTES: u64 = 256 << 20;
const STALE_MAX: usize = 64;

/// What came of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Both succeeded, and this is what they made.
    Made(Twin),
    /// Both failed alike.
    Failed,
    /// The quota refused it; the bare driver was not asked.
    Refused,
    /// Only this driver made it, and nothing is wrong with that.
    ByOne(usize, u64),
}

impl Answer {
    /// What was made, if it was.
    pub fn made(self) -> Option<Twin> {
        match self {
            Self::Made(twin) => Some(twin),
            _ => None,
        }
    }

    /// Whether both succeeded.
    pub fn is_success(self) -> bool {
        self.made().is_some()
    }
}

/// The drivers, the model, and what was made so far.
pub struct World {
    pub bytes: Bytes,
    pub model: Model,
    pub stale: Vec<Twin>,
    pub vmm: vmm::Book,
    pub work: work::Book,
    /// Calls made to the driver behind the library.
    pub calls: u64,
    /// Calls that the quota refused.
    pub refusals: u64,
    /// Those of them before which pools did not give back all they could.
    pub hasty: u64,
    /// The calls of this round.
    pub trace: Vec<String>,
    /// What went wrong first.
    pub difference: Option<String>,
    drivers: [Library; 2],
    run_dir: PathBuf,
    uuids: [[u8; 16]; DEVICES],
    books: [Option<Books>; DEVICES],
    /// What tells of either driver what pools and graphs have; the library passes such calls on.
    asks: [Ask; 2],
}

impl World {
    /// Opens and initialises both drivers. The environment is that of a program under the library; the second
    /// driver gets a device file of its own.
    pub fn open() -> Self {
        let variable = |name| PathBuf::from(std::env::var_os(name).expect("set by the stage"));
        let run_dir = variable("FCSP_RUN_DIR");
        let quota_bytes = std::env::var("BUD_MEMORY_LIMIT_DEV0")
            .ok()
            .and_then(|it| it.parse().ok());
        let subject = Library::open(c"libcuda.so.1");
        initialise(&subject);
        let copy = run_dir.join("bare-driver.so");
        std::fs::copy(run_dir.join("lib/libcuda.so.1"), &copy).expect("a copy of the driver");
        // SAFETY: threads that run are the harness's and the driver's, which read no environment now.
        unsafe { std::env::set_var("FCSP_SIM_DIR", run_dir.join("bare-sim")) };
        let copy = CString::new(copy.as_os_str().as_bytes()).expect("no NUL");
        let bare = Library::open(&copy);
        initialise(&bare);
        let uuids = [0, 1].map(|device| {
            let mut uuid = CUuuid { bytes: [0; 16] };
            assert_eq!(cu!(subject, cuDeviceGetUuid_v2(&mut uuid, device)).0, 0);
            uuid.bytes.map(|byte| byte as u8)
        });
        Self {
            bytes: Bytes::Seeded(0),
            model: Model {
                quota_bytes: [quota_bytes, None],
                ..Model::default()
            },
            stale: Vec::new(),
            vmm: vmm::Book::default(),
            work: work::Book::default(),
            calls: 0,
            refusals: 0,
            hasty: 0,
            trace: Vec::new(),
            difference: None,
            asks: [&subject, &bare].map(Ask::of),
            drivers: [subject, bare],
            run_dir,
            uuids,
            books: [None, None],
        }
    }

    /// Makes a call on both. `make` writes a handle that is made to the last argument.
    pub fn call(
        &mut self,
        what: impl FnOnce() -> String,
        bill: &Bill,
        make: impl Fn(&Library, usize, &mut u64) -> CUresult,
    ) -> Answer {
        if self.difference.is_some() {
            return Answer::Failed;
        }
        let answer = self.compare(what, bill, make);
        let ask = self.asks[0];
        self.model.pools.look(|twin| ask.pool(twin.0[0]));
        self.model.graphs.look(|device| ask.graphs(device));
        if answer == Answer::Refused {
            self.check_refusal(bill);
        }
        answer
    }

    /// A refusal is right if what is charged now leaves no room.
    fn check_refusal(&mut self, bill: &Bill) {
        let charges = match bill {
            Bill::Of(charges) => charges.clone(),
            Bill::Pool(device, bytes) => {
                let worst = pool_book::worst_bytes(*bytes).unwrap_or(u64::MAX);
                vec![(*device, worst)]
            }
            // Whether it was a quota, and whose, only the library knows.
            Bill::Free | Bill::LimitedPool(..) | Bill::Unsure(_) => return,
        };
        let mut rightly = false;
        for (device, bytes) in &charges {
            let used = self.used_bytes(*device);
            let quota = self.model.quota_bytes[*device].unwrap_or(u64::MAX);
            rightly |= used.checked_add(*bytes).is_none_or(|sum| sum > quota);
        }
        if !rightly {
            self.differ(format!("it is refused, and there is room for {charges:?}"));
        }
    }

    fn compare(
        &mut self,
        what: impl FnOnce() -> String,
        bill: &Bill,
        make: impl Fn(&Library, usize, &mut u64) -> CUresult,
    ) -> Answer {
        self.trace.push(what());
        self.calls += 1;
        let (must_refuse, may_refuse) = self.model.refuses(bill);
        let mut twin = Twin::default();
        let subject = make(&self.drivers[0], 0, &mut twin.0[0]);
        let refused = subject == CUresult::CUDA_ERROR_OUT_OF_MEMORY;
        if refused && may_refuse {
            self.refusals += 1;
            self.note(" is refused");
            return Answer::Refused;
        }
        if must_refuse {
            return self.differ(format!("the quota must refuse it, and it gave {subject:?}"));
        }
        let bare = make(&self.drivers[1], 1, &mut twin.0[1]);
        if let (Bill::LimitedPool(..), Some(side)) = (bill, only_room(subject, bare)) {
            // What fits into a pool that cannot grow depends on which frees have run.
            self.note(" fits on one side");
            return Answer::ByOne(side, twin.0[side]);
        }
        if !alike(subject, bare) {
            return self.differ(format!("{subject:?}, and {bare:?} from the bare driver"));
        }
        if subject != CUresult::CUDA_SUCCESS {
            self.note(&format!(" is {}", subject.0));
            return Answer::Failed;
        }
        if twin != Twin::default() {
            self.note(&format!(" makes {twin:x?}"));
        }
        Answer::Made(twin)
    }

    /// Adds what came of it to the last call of the trace.
    fn note(&mut self, what: &str) {
        if let Some(last) = self.trace.last_mut() {
            last.push_str(what);
        }
    }

    /// Notes a difference, if it is the first.
    pub fn differ(&mut self, what: String) -> Answer {
        self.difference.get_or_insert(what);
        Answer::Failed
    }

    /// Asks the bare driver something that changes nothing.
    pub fn bare(&self) -> &Library {
        &self.drivers[1]
    }

    /// One of the drivers.
    pub fn driver(&self, side: usize) -> &Library {
        &self.drivers[side]
    }

    /// The calling thread's context, if it lives.
    pub fn current(&self) -> Option<usize> {
        let mut handle = std::ptr::null_mut();
        if cu!(self.bare(), cuCtxGetCurrent(&mut handle)) != CUresult::CUDA_SUCCESS {
            return None;
        }
        let is_it = |it: &Context| it.alive && it.twin.0[1] == handle as u64;
        self.model.contexts.iter().position(is_it)
    }

    /// Whether there is one context in all, and the device it is on.
    pub fn only_context(&self) -> Option<usize> {
        let mut alive = self.model.contexts.iter().filter(|it| it.alive);
        let only = alive.next()?;
        alive.next().is_none().then_some(only.device)
    }

    /// The bill for `bytes` of the current context's device.
    pub fn bill_here(&self, bytes: u64) -> Bill {
        match self.current() {
            Some(context) => Bill::Of(vec![(self.model.contexts[context].device, bytes)]),
            None => Bill::Unsure(bytes),
        }
    }

    /// Enters what was made in the current context.
    pub fn made_here(&mut self, answer: Answer, kind: Kind, bytes: u64) {
        let (Some(twin), Some(owner)) = (answer.made(), self.current()) else {
            if answer.is_success() {
                self.differ("memory without a context".into());
            }
            return;
        };
        let charges = vec![(self.model.contexts[owner].device, bytes)];
        self.model.objects.push(Object {
            twin,
            kind,
            charges,
            owner: Some(owner),
        });
    }

    /// Keeps the name of something that is gone.
    pub fn outlived(&mut self, twin: Twin) {
        if self.stale.len() == STALE_MAX {
            self.stale.remove(0);
        }
        self.stale.push(twin);
    }

    /// Takes out the live object of one of these kinds that has this name.
    pub fn take(&mut self, twin: Twin, kinds: &[Kind]) -> Option<Object> {
        let is_it = |it: &Object| it.twin == twin && kinds.contains(&it.kind);
        let at = self.model.objects.iter().position(is_it)?;
        self.outlived(twin);
        Some(self.model.objects.swap_remove(at))
    }

    /// A handle to use: mostly one of `good`, else one that is gone, null, nonsense, or of another kind.
    pub fn pick(&mut self, good: &[Twin]) -> Twin {
        let wrong = match self.bytes.below(64) {
            0..=1 => Twin::default(),
            2..=4 if !self.stale.is_empty() => self.stale[self.bytes.below(self.stale.len())],
            5 => Twin::same(self.bytes.number()),
            6 => Twin::same(u64::MAX),
            7 if !self.model.objects.is_empty() => {
                let at = self.bytes.below(self.model.objects.len());
                self.model.objects[at].twin
            }
            8 if !good.is_empty() => {
                // Inside it, not at its beginning.
                let twin = good[self.bytes.below(good.len())];
                Twin(twin.0.map(|it| it.wrapping_add(8)))
            }
            _ if good.is_empty() => Twin::default(),
            _ => return good[self.bytes.below(good.len().min(256))],
        };
        // Whether a graph's address is still one depends on when its last launch is over.
        let is_of_graph = self.model.graphs.addresses().any(|it| it == wrong);
        if is_of_graph || self.is_torn(wrong) {
            Twin::default()
        } else {
            wrong
        }
    }

    /// Whether a name is live for one driver and means something else to the other: an address that one has given
    /// out again.
    fn is_torn(&self, twin: Twin) -> bool {
        let objects = self.model.objects.iter().map(|it| it.twin);
        let graphs = self.model.graphs.addresses();
        let mut all = objects.chain(self.vmm.addresses()).chain(graphs);
        all.any(|it| (it.0[0] == twin.0[0]) != (it.0[1] == twin.0[1]))
    }

    /// Live objects of a kind.
    pub fn of_kind(&self, kinds: &[Kind]) -> Vec<Twin> {
        let objects = self
            .model
            .objects
            .iter()
            .filter(|it| kinds.contains(&it.kind));
        objects.map(|it| it.twin).collect()
    }

    /// Whether there is room for one more of a kind.
    pub fn has_room(&self, kind: Kind) -> bool {
        self.model
            .objects
            .iter()
            .filter(|it| it.kind == kind)
            .count()
            < OBJECTS_MAX
    }

    /// Compares the ledger with the model.
    pub fn check(&mut self) {
        for device in 0..DEVICES {
            let (low, high) = self.model.bounds(device);
            // Each pool, the device's own among them, may be settled some calls later.
            let pools = self.model.objects.iter().filter(|it| it.kind == Kind::Pool);
            let high = high + (pools.count() as u64 + 1) * SETTLED_LATER_BYTES;
            let used = self.used_bytes(device);
            if !(low..=high).contains(&used) {
                self.differ(format!(
                    "device {device} is charged {used} bytes instead of {low} to {high}"
                ));
            }
        }
    }

    /// What pools and graphs have of a device by one driver, except pools that were destroyed.
    pub fn kept_bytes(&self, side: usize, device: usize) -> u64 {
        let pools = self.model.pools.alive().filter(|it| it.device == device);
        let figures = pools.filter_map(|it| self.asks[side].pool(it.twin.0[side]));
        figures.sum::<u64>() + self.asks[side].graphs(device)
    }

    /// What is charged on a device.
    pub fn used_bytes(&mut self, device: usize) -> u64 {
        self.books(device)
            .map_or(0, |books| books.used_bytes(TENANT))
    }

    /// What the process answers for on a device: all there is, since it is the tenant's only one.
    pub fn answered_bytes(&mut self, device: usize) -> u64 {
        self.books(device)
            .map_or(0, |books| books.answered_bytes(TENANT))
    }

    fn books(&mut self, device: usize) -> Option<&Books> {
        if self.books[device].is_none() {
            self.books[device] = Books::of(&self.run_dir, self.uuids[device]);
        }
        self.books[device].as_ref()
    }
}

fn initialise(driver: &Library) {
    assert_eq!(cu!(driver, cuInit(0)).0, 0);
}

/// Whether two answers are the same but for time: what one has reached, the other may not have.
fn alike(one: CUresult, other: CUresult) -> bool {
    let timeless = |code| match code {
        CUresult::CUDA_ERROR_NOT_READY => CUresult::CUDA_SUCCESS,
        other => other,
    };
    timeless(one) == timeless(other)
}

/// The side that had room if the other one had not.
fn only_room(subject: CUresult, bare: CUresult) -> Option<usize> {
    let (made, full) = (CUresult::CUDA_SUCCESS, CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    match (subject, bare) {
        (one, other) if (one, other) == (made, full) => Some(0),
        (one, other) if (one, other) == (full, made) => Some(1),
        _ => None,
    }
}

/// The kernel that is launched.
pub const PTX: &CStr = c".version 6.0
.target sm_50
.address_size 64
.visible .entry fcsp_work(.param .u32 iters, .param .u64 counter, .param .u64 add) { ret; }
.visible .global .align 8 .u64 total;
";
