// Compiles where programs for Level Zero can be built.
#include <level_zero/ze_api.h>

int main() { return zeInit(0); }
