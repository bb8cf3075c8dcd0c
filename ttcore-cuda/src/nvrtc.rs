//! The kernels' source, compiled for a GPU by NVRTC, which is loaded at run time.
//!
//! Machine code of NVRTC runs with every driver of the same major version, PTX only with drivers that are as new as NVRTC.
//! So the library of the driver's major is looked for first, and PTX is for GPUs that the library has no machine code for.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;

use crate::error::Error;

/// The kernels, one source.
const SOURCE: &str = concat!(
    include_str!("../kernels/common.cuh"),
    include_str!("../kernels/batched.cu"),
    include_str!("../kernels/dense.cu"),
    include_str!("../kernels/patch.cuh"),
    include_str!("../kernels/fused.cuh"),
    include_str!("../kernels/tiles.cuh"),
    include_str!("../kernels/fused_forward.cu"),
    include_str!("../kernels/fused_backward.cu"),
    include_str!("../kernels/fused_outer.cu"),
    include_str!("../kernels/slices.cu"),
    include_str!("../kernels/untouched.cu"),
    include_str!("../kernels/group.cuh"),
    include_str!("../kernels/group_sort.cuh"),
    include_str!("../kernels/group_units.cu"),
    include_str!("../kernels/group.cu"),
    include_str!("../kernels/group_import.cu"),
    include_str!("../kernels/layers.cu"),
);

/// Majors of NVRTC that the source is compiled with, the newest first.
const MAJORS: [i32; 2] = [13, 12];

/// What a call answers when all is well.
const SUCCESS: c_int = 0;

/// Kernels that a driver can load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// Machine code, for one kind of GPU: a cubin.
    Code(Vec<u8>),
    /// PTX with a zero at its end, which the driver compiles.
    Ptx(Vec<u8>),
}

impl Image {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Code(bytes) | Self::Ptx(bytes) => bytes,
        }
    }
}

/// Whether a library is found.
pub fn available() -> bool {
    load(MAJORS[0]).is_ok()
}

/// The kernels for GPUs of a compute capability, such as `(9, 0)`, and a driver of CUDA `driver`, such as 12. They are
/// compiled once in a process.
///
/// # Errors
///
/// [`Error::NoLibrary`]; [`Error::Compile`], with the compiler's log.
pub fn compile(capability: (i32, i32), driver: i32) -> Result<Arc<Image>, Error> {
    /// By capability and driver.
    type Compiled = BTreeMap<((i32, i32), i32), Arc<Image>>;
    static COMPILED: Mutex<Compiled> = Mutex::new(BTreeMap::new());
    // Held meanwhile, so that nobody compiles what somebody is compiling.
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(match compiled.entry((capability, driver)) {
        Entry::Occupied(entry) => entry.get().clone(),
        Entry::Vacant(entry) => entry.insert(Arc::new(compile_now(capability, driver)?)).clone(),
    })
}

fn compile_now((major, minor): (i32, i32), driver: i32) -> Result<Image, Error> {
    let api = load(driver)?;
    let wanted = 10 * major + minor;
    let known = api.architectures()?;
    if known.contains(&wanted) {
        return Ok(Image::Code(api.compile(&format!("sm_{wanted}"), api.nvrtcGetCUBINSize, api.nvrtcGetCUBIN)?));
    }
    let newest = known.iter().filter(|&&known| known <= wanted).max().ok_or_else(|| Error::Compile {
        log: format!("NVRTC compiles for compute capabilities {known:?} (in tenths), and this GPU is {wanted}"),
    })?;
    Ok(Image::Ptx(api.compile(&format!("compute_{newest}"), api.nvrtcGetPTXSize, api.nvrtcGetPTX)?))
}

type Program = *mut c_void;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Get = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

/// Functions of NVRTC, by their names. All but one return an answer.
#[allow(non_snake_case, reason = "NVRTC's names")]
struct Api {
    nvrtcGetErrorString: unsafe extern "C" fn(c_int) -> *const c_char,
    nvrtcGetNumSupportedArchs: unsafe extern "C" fn(*mut c_int) -> c_int,
    nvrtcGetSupportedArchs: unsafe extern "C" fn(*mut c_int) -> c_int,
    nvrtcCreateProgram: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    nvrtcCompileProgram: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int,
    nvrtcDestroyProgram: unsafe extern "C" fn(*mut Program) -> c_int,
    nvrtcGetProgramLogSize: Size,
    nvrtcGetProgramLog: Get,
    nvrtcGetCUBINSize: Size,
    nvrtcGetCUBIN: Get,
    nvrtcGetPTXSize: Size,
    nvrtcGetPTX: Get,
    _library: Library,
}

/// The library that fits a driver best.
fn load(driver: i32) -> Result<Api, Error> {
    let file = |major: i32| match cfg!(windows) {
        true => format!("nvrtc64_{major}0_0.dll"),
        false => format!("libnvrtc.so.{major}"),
    };
    let unversioned = if cfg!(windows) { "nvrtc.dll" } else { "libnvrtc.so" };
    let others = MAJORS.iter().filter(|&&major| major != driver).map(|&major| file(major));
    // The file without a version is whatever somebody chose to install for building.
    let files = [file(driver), unversioned.to_owned()].into_iter().chain(others);
    // SAFETY: loads the library and runs its initialisers, which NVIDIA's has none of that do harm.
    let mut found =
        files.filter_map(|file| unsafe { Library::new(file) }.ok().and_then(|library| Api::find(library).ok()));
    found.next().ok_or(Error::NoLibrary { library: "NVRTC", file: "libnvrtc.so" })
}

impl Api {
    fn find(library: Library) -> Result<Self, libloading::Error> {
        macro_rules! function {
            ($name:ident) => {
                // SAFETY: NVRTC's function of this name has the type of the field, and is used as long as the library is.
                unsafe { *library.get(concat!(stringify!($name), "\0").as_bytes())? }
            };
        }
        Ok(Self {
            nvrtcGetErrorString: function!(nvrtcGetErrorString),
            nvrtcGetNumSupportedArchs: function!(nvrtcGetNumSupportedArchs),
            nvrtcGetSupportedArchs: function!(nvrtcGetSupportedArchs),
            nvrtcCreateProgram: function!(nvrtcCreateProgram),
            nvrtcCompileProgram: function!(nvrtcCompileProgram),
            nvrtcDestroyProgram: function!(nvrtcDestroyProgram),
            nvrtcGetProgramLogSize: function!(nvrtcGetProgramLogSize),
            nvrtcGetProgramLog: function!(nvrtcGetProgramLog),
            nvrtcGetCUBINSize: function!(nvrtcGetCUBINSize),
            nvrtcGetCUBIN: function!(nvrtcGetCUBIN),
            nvrtcGetPTXSize: function!(nvrtcGetPTXSize),
            nvrtcGetPTX: function!(nvrtcGetPTX),
            _library: library,
        })
    }

    fn check(&self, answer: c_int) -> Result<(), Error> {
        if answer == SUCCESS {
            return Ok(());
        }
        // SAFETY: a text that lives as long as the library, for any number.
        let text = unsafe { CStr::from_ptr((self.nvrtcGetErrorString)(answer)) };
        Err(Error::Compile { log: format!("{} ({answer})", text.to_string_lossy()) })
    }

    /// Compute capabilities there is machine code for, in tenths.
    fn architectures(&self) -> Result<Vec<c_int>, Error> {
        let mut count = 0;
        // SAFETY: writes the number.
        self.check(unsafe { (self.nvrtcGetNumSupportedArchs)(&mut count) })?;
        let mut list = vec![0; count.unsigned_abs() as usize];
        // SAFETY: writes so many numbers.
        self.check(unsafe { (self.nvrtcGetSupportedArchs)(list.as_mut_ptr()) })?;
        Ok(list)
    }

    /// What the compiler makes of the source for an architecture.
    fn compile(&self, architecture: &str, size: Size, get: Get) -> Result<Vec<u8>, Error> {
        let text = |text: String| CString::new(text).unwrap_or_default();
        let (source, name) = (text(SOURCE.to_owned()), text("ttcore.cu".to_owned()));
        let options = [text(format!("--gpu-architecture={architecture}")), text("--std=c++17".to_owned())];
        let mut program = ptr::null_mut();
        // SAFETY: writes the program; the texts end with zeros, and there are no headers.
        let made = unsafe {
            (self.nvrtcCreateProgram)(&mut program, source.as_ptr(), name.as_ptr(), 0, ptr::null(), ptr::null())
        };
        self.check(made)?;
        let pointers = options.each_ref().map(|option| option.as_ptr());
        // SAFETY: the program was made above; so many options, which are read during the call.
        let compiled = unsafe { (self.nvrtcCompileProgram)(program, pointers.len() as c_int, pointers.as_ptr()) };
        let result = self.check(compiled).and_then(|()| self.bytes(program, size, get)).map_err(|error| {
            let log = self.bytes(program, self.nvrtcGetProgramLogSize, self.nvrtcGetProgramLog).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned();
            match error {
                Error::Compile { log: answer } => Error::Compile { log: format!("{answer}: {log}") },
                error => error,
            }
        });
        // SAFETY: the program was made above, and is not used any more. A failure leaves nothing to do.
        unsafe { (self.nvrtcDestroyProgram)(&mut program) };
        result
    }

    fn bytes(&self, program: Program, size: Size, get: Get) -> Result<Vec<u8>, Error> {
        let mut len = 0;
        // SAFETY: the program is one; writes the number.
        self.check(unsafe { size(program, &mut len) })?;
        let mut bytes = vec![0u8; len];
        // SAFETY: writes so many bytes.
        self.check(unsafe { get(program, bytes.as_mut_ptr().cast()) })?;
        Ok(bytes)
    }
}
