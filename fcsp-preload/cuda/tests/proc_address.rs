//! Does `cuGetProcAddress` under the preload library answer as a real driver does?
//!
//! The oracle is what driver 580.159 answered for every name, version and flag. From it the test makes a driver in C that
//! gives exactly these answers, and a program that asks for all of them under `libfcsp-cuda.so`. For each it must get the
//! same code and status, and the function that `dlsym` gives for the symbol the real driver resolved to: our wrapper for
//! a symbol with a row, the driver's own function for every other.
//!
//! Uses the installed library: run by `cargo xtask test`, or after `cargo xtask build`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One line of the oracle: from this CUDA version on, this is the answer.
struct Answer {
    name: String,
    flags: u32,
    from_version: u32,
    result: u32,
    status: u32,
    /// Exported symbols at the returned address.
    symbols: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn oracle() -> Vec<Answer> {
    let path = root().join("backends/sim/libcuda/oracle/cuGetProcAddress.csv");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("name,"))
        .map(|line| {
            let fields: Vec<_> = line.split(',').collect();
            let [name, flags, from_version, codes, symbols] = fields[..] else {
                panic!("{line}")
            };
            let (result, status) = codes.split_once('/').unwrap_or_else(|| panic!("{line}"));
            let number = |text: &str| text.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            Answer {
                name: name.into(),
                flags: number(flags),
                from_version: number(from_version),
                result: number(result),
                status: number(status),
                symbols: symbols
                    .split('|')
                    .filter(|symbol| !symbol.is_empty())
                    .map(Into::into)
                    .collect(),
            }
        })
        .collect()
}

/// A driver that answers by the oracle; every other function just returns.
fn driver_source(answers: &[Answer]) -> String {
    let mut source = String::from("#include <string.h>\n#include <stddef.h>\n");
    let own = ["cuGetProcAddress", "cuGetProcAddress_v2"];
    let symbols: BTreeSet<_> = answers
        .iter()
        .flat_map(|answer| &answer.symbols)
        .map(String::as_str)
        .collect();
    for (number, symbol) in symbols
        .iter()
        .filter(|symbol| !own.contains(symbol))
        .enumerate()
    {
        // Different bodies, so that no two share an address.
        writeln!(
            source,
            "int {symbol}(void) {{ return {}; }}",
            1_000_000 + number
        )
        .expect("to a string");
    }
    source.push_str(
        "int cuGetProcAddress(const char *, void **, int, unsigned long);\n\
         int cuGetProcAddress_v2(const char *, void **, int, unsigned long, int *);\n\
         static const struct { const char *name; unsigned long flags; int from; int result; int status; void *function; }\n\
         answers[] = {\n",
    );
    for answer in answers {
        let function = answer.symbols.first().map_or("NULL", String::as_str);
        let Answer {
            name,
            flags,
            from_version,
            result,
            status,
            ..
        } = answer;
        writeln!(
            source,
            "{{\"{name}\", {flags}, {from_version}, {result}, {status}, (void *){function}}},"
        )
        .expect("to a string");
    }
    source.push_str(
        "};\n\
         int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long flags, int *status) {\n\
             int found = -1;\n\
             for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)\n\
                 if (!strcmp(answers[i].name, name) && answers[i].flags == flags && answers[i].from <= version) found = i;\n\
             *function = found < 0 ? NULL : answers[found].function;\n\
             if (status) *status = found < 0 ? 1 : answers[found].status;\n\
             return found < 0 ? 500 : answers[found].result;\n\
         }\n\
         int cuGetProcAddress(const char *name, void **function, int version, unsigned long flags) {\n\
             return cuGetProcAddress_v2(name, function, version, flags, NULL);\n\
         }\n",
    );
    source
}

/// Asks for `name flags version symbol` lines from stdin; prints code, status, and whether the answer is what `dlsym`
/// gives for the symbol, and whether that is a function of the preload library.
const CLIENT: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
int main(void) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!driver) { fprintf(stderr, "%s\n", dlerror()); return 3; }
    int (*v2)(const char *, void **, int, unsigned long, int *) = dlsym(driver, "cuGetProcAddress_v2");
    int (*v1)(const char *, void **, int, unsigned long) = dlsym(driver, "cuGetProcAddress");
    char name[128], symbol[128];
    unsigned long flags;
    int version;
    while (scanf("%127s %lu %d %127s", name, &flags, &version, symbol) == 4) {
        void *got = &got, *got_v1 = &got, *expected = strcmp(symbol, "-") ? dlsym(driver, symbol) : NULL;
        int status = -1, result = v2(name, &got, version, flags, &status), result_v1 = v1(name, &got_v1, version, flags);
        Dl_info info = {0};
        int ours = got && dladdr(got, &info) && strstr(info.dli_fname, "libfcsp-cuda") != NULL;
        printf("%d %d %d %d\n", result, status, got == expected && got_v1 == expected && result_v1 == result, ours);
    }
    return 0;
}
"#;

fn compile(directory: &Path, name: &str, source: &str, flags: &[&str]) {
    let file = directory.join(format!("{name}.c"));
    fs::write(&file, source).expect("cargo gives tests a writable directory");
    let output = Command::new("cc")
        .args(["-w", "-O0", "-o"])
        .arg(directory.join(name))
        .arg(&file)
        .args(flags)
        .output()
        .expect("a C compiler named cc");
    assert!(
        output.status.success(),
        "cc {name}.c: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_lookup_resolves_to_what_the_driver_resolved_it_to() {
    let library = root().join("target/fcsp/lib/libfcsp-cuda.so");
    assert!(
        library.exists(),
        "{} is missing: run `cargo xtask build`",
        library.display()
    );
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proc_address");
    fs::create_dir_all(&directory).expect("cargo gives tests a writable directory");
    let answers = oracle();
    assert!(
        answers.len() > 2000,
        "the oracle has {} answers",
        answers.len()
    );
    compile(
        &directory,
        "libcuda.so.1",
        &driver_source(&answers),
        &["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"],
    );
    compile(&directory, "client", CLIENT, &["-ldl"]);

    let mut questions = String::new();
    for Answer {
        name,
        flags,
        from_version,
        symbols,
        ..
    } in &answers
    {
        let symbol = symbols.first().map_or("-", String::as_str);
        writeln!(questions, "{name} {flags} {from_version} {symbol}").expect("to a string");
    }
    fs::write(directory.join("questions"), questions).expect("write");
    let output = Command::new(directory.join("client"))
        .stdin(fs::File::open(directory.join("questions")).expect("just written"))
        .env("LD_LIBRARY_PATH", &directory)
        .env("LD_PRELOAD", &library)
        .output()
        .expect("the client starts");
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );

    let lines: Vec<_> = std::str::from_utf8(&output.stdout)
        .expect("text")
        .lines()
        .collect();
    assert_eq!(lines.len(), answers.len());
    let mut wrapped = BTreeMap::<&str, usize>::new();
    for (answer, line) in answers.iter().zip(lines) {
        let question = format!(
            "{} flags {} version {}",
            answer.name, answer.flags, answer.from_version
        );
        let ours = line.ends_with(" 1");
        let expected = format!("{} {} 1 {}", answer.result, answer.status, u8::from(ours));
        assert_eq!(
            line, expected,
            "{question}: code, status, same function as dlsym's"
        );
        if ours {
            let symbol = answer
                .symbols
                .first()
                .unwrap_or_else(|| panic!("{question}: a wrapper for nothing"));
            *wrapped.entry(symbol).or_default() += 1;
        }
    }
    // Each was answered by our wrapper, the variants for per-thread streams by their own.
    for symbol in [
        "cuMemAlloc_v2",
        "cuMemAllocAsync",
        "cuMemAllocAsync_ptsz",
        "cuMemFree_v2",
        "cuMemGetInfo_v2",
        "cuLaunchKernel",
        "cuLaunchKernel_ptsz",
        "cuGraphLaunch_ptsz",
        "cuMemcpyDtoH_v2_ptds",
        "cuGetProcAddress",
        "cuGetProcAddress_v2",
    ] {
        assert!(wrapped.contains_key(symbol), "{symbol} is never replaced");
    }
    // And what has no row never was.
    for symbol in ["cuDriverGetVersion", "cuCtxGetCurrent"] {
        assert!(!wrapped.contains_key(symbol), "{symbol} is forwarded");
    }
}
