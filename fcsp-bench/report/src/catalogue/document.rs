//! The catalogue as a document: `docs/metrics.md`.

use super::{Better, Category, Definition, Goal, Ideal};
use std::fmt::Write;

const HEAD: &str = "\
# The metrics of `fcsp bench`

Written by `FCSP_BLESS=1 cargo test -p fcsp-bench-report --test document` from `fcsp-bench/report/src/catalogue`, checked by
the same test without the variable.

Ids and names are those of the public suite (GPU-Virt-Bench 1.0), since the field knows them. Many of its measurements measure
something else than they name, so each metric says how ours differs. Rules for all:

- **Paired.** A run measures native and every system in blocks that take turns, so that a drift of clock or temperature meets
  all alike. The ratio to native is the median of the ratios of the n-th block of a system to the n-th of native, with the
  exact distribution-free interval of a median for 95 % confidence (Le Boudec, *Performance Evaluation of Computer and
  Communication Systems*, 2010, theorem 2.1). That takes 6 blocks. A quick run has as few as 3 of some metrics; their interval
  is Student's for the mean of the logarithms of the ratios, which assumes that these are normally distributed.
- **Tenants are processes** with limits of their own. Neighbours saturate. Faults are real faults.
- **Validity first.** Before anything is measured, the limits of a system are shown to be in force. Where they are not, what
  depends on them is `not valid` instead of a number.
- **Nothing is hidden.** What failed or is not valid counts as 0 and is named. What cannot be measured on a machine is `not run`,
  with what it needs, and counts nowhere.
- **Goal** is what FCSP sets out to reach. What was published for such a system before stands beside it, and may have been
  measured in another way.
- **Ideal** is what hardware partitions (MIG) give by definition. It is no measurement; where partitions exist they are measured
  as a system of their own.

## Vendors

A metric measures the same thing on NVIDIA's, AMD's and Intel's devices. The texts below name CUDA's calls; elsewhere they are

| CUDA | HIP | Level Zero |
|---|---|---|
| a stream | a stream | an immediate command list |
| `cuLaunchKernel` | `hipModuleLaunchKernel` | `zeKernelSetArgumentValue` for each argument and `zeCommandListAppendLaunchKernel` |
| a context | the device's first use | `zeContextCreate` and the first list, with which the device is first used |
| `cuMemAlloc`, `cuMemFree` | `hipMalloc`, `hipFree` | `zeMemAllocDevice`, `zeMemFree` |
| `cuMemAllocAsync`, pools | `hipMallocAsync`, pools | none |
| `cuMemAllocPitch` | `hipMemAllocPitch` | none |
| `cuMemCreate`, mapped | `hipMemCreate`, mapped | `zePhysicalMemCreate`, mapped |
| arrays | arrays | images |
| `cuMemAllocManaged` | `hipMallocManaged` | `zeMemAllocShared` |
| `cuMemGetInfo` | `hipMemGetInfo` | `zesMemoryGetState` |
| a captured graph | a captured graph | a command list that is recorded once, executed by a command queue and put into order by events |
| `cuCtxGetDevice`, `cuCtxSetCurrent` | `hipGetDevice`, `hipSetDevice` | none: OH-005 is of the other two |
| `cuEventQuery`, `cuStreamQuery` | `hipEventQuery`, `hipStreamQuery` | `zeEventQueryStatus`, `zeCommandQueueSynchronize` without time to wait |
| `%globaltimer` in a kernel | `wall_clock64()` in a kernel | the kernel's event |
| NCCL, cuBLAS | RCCL, none | none |

What an interface lacks is `not run`: for Level Zero, which has no pools in the order of a queue, OH-006, OH-007 and LLM-005;
for Intel's devices CACHE-001, 2 and 4, since OpenCL C has no clock that a kernel could read; LLM-008 for all but NVIDIA's.
Where a metric takes several ways to ask for memory, it takes those that are there. OH-010 takes plain memory where there is no
pool. IS-005 asks Level Zero's driver first whether it knows another program's address, since a copy would take one that it does
not know for the host's own memory.
";

/// `docs/metrics.md`.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    write!(text, "\n## Scores\n\n{}\n", crate::scores::FORMULA).expect("a string takes all");
    text.push_str("| Category | Metrics | Weight |\n|---|---|---|\n");
    for category in Category::ALL {
        row(
            &mut text,
            &[
                category.name(),
                &format!("{}-*", category.prefix()),
                &format!("{:.2}", category.weight()),
            ],
        );
    }
    text.push_str(
        "\n## All\n\n| Id | Name | Unit | Better | Ideal | Needs |\n|---|---|---|---|---|---|\n",
    );
    for metric in super::all() {
        row(
            &mut text,
            &[
                &format!("[{}](#{})", metric.id, anchor(metric)),
                metric.name,
                unit(metric),
                better(metric.better),
                &ideal(metric),
                &needs(metric),
            ],
        );
    }
    for category in Category::ALL {
        write!(text, "\n## {}\n", category.name()).expect("a string takes all");
        for metric in category.metrics() {
            section(&mut text, metric);
        }
    }
    text
}

fn section(text: &mut String, metric: &Definition) {
    let compared = match metric.native {
        Some(against) => format!("{}; {} is better", against.of, better(against.better)),
        None => "nothing: native has no such figure".to_owned(),
    };
    let plan = metric.plan;
    let amount = format!(
        "{} × {} {}; {} × in a quick run",
        plan.blocks, plan.per_block, plan.of, plan.quick_blocks
    );
    let goal = match Goal::of(metric) {
        Some(goal) => {
            let published = match goal.published_text(metric) {
                Some(published) => format!("; {published} was published before"),
                None => String::new(),
            };
            format!("- Goal: {}{published}.\n", goal.text(metric))
        }
        None => String::new(),
    };
    let needs = match needs(metric) {
        needs if needs.is_empty() => needs,
        needs => format!("- Needs {needs}.\n"),
    };
    write!(
        text,
        "\n### {id} {name}\n\n{measures} In {unit}, {better} is better.\n\n\
        - How: {how}\n- How much: {amount}.\n- Against native: {compared}.\n- Ideal: {ideal}. {reason}\n{goal}- Public suite: {differs}\n{needs}",
        id = metric.id,
        name = metric.name,
        measures = metric.measures,
        unit = unit(metric),
        better = better(metric.better),
        how = metric.how,
        ideal = ideal(metric),
        reason = metric.ideal_reason,
        differs = metric.differs,
    )
    .expect("a string takes all");
}

fn row(text: &mut String, cells: &[&str]) {
    writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes all");
}

/// The unit for people.
pub(crate) fn unit(metric: &Definition) -> &'static str {
    match metric.unit {
        "us" => "µs",
        "bool" => "pass or fail",
        unit => unit,
    }
}

pub(crate) fn better(better: Better) -> &'static str {
    match better {
        Better::Lower => "lower",
        Better::Higher => "higher",
        Better::Pass => "a pass",
    }
}

/// The ideal for people: `100 %`.
pub(crate) fn ideal(metric: &Definition) -> String {
    match metric.ideal {
        Ideal::LikeNative => "as native".to_owned(),
        Ideal::Value(value) if metric.unit == "ratio" => format!("{value}"),
        Ideal::Value(value) => format!("{value} {}", unit(metric)),
        Ideal::NothingOf { .. } | Ideal::Nothing { .. } if metric.unit == "ratio" => "0".to_owned(),
        Ideal::NothingOf { .. } | Ideal::Nothing { .. } => format!("0 {}", unit(metric)),
        Ideal::Pass => "pass".to_owned(),
    }
}

fn needs(metric: &Definition) -> String {
    let needs: Vec<String> = metric.needs.iter().map(ToString::to_string).collect();
    needs.join(", ")
}

/// Where a heading can be linked to, as Git hosts make anchors: lower case, spaces to hyphens, other signs left out.
fn anchor(metric: &Definition) -> String {
    format!("{} {}", metric.id, metric.name)
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' => Some('-'),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .collect()
}
