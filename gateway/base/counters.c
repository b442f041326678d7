#include "base/counters.h"

Counters counters;
