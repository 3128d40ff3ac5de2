// Everything the bindings are made of, for `cargo xtask codegen`.
#include <stdbool.h>

#include "ze_ddi_common.h"
#include "loader/ze_loader.h"
