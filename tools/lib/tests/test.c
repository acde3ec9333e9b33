// SPDX-License-Identifier: GPL-2.0
#include <stdint.h>
#include <stdio.h>

#include "test.h"

static int count, failed;
static bool ok;

void test_check(bool condition, const char *text, const char *file, int line)
{
	if (condition)
		return;
	ok = false;
	printf("# %s:%d: not so: %s\n", file, line, text);
}

void test_run(const char *name, void (*function)(void))
{
	ok = true;
	function();
	failed += !ok;
	printf("%sok %d %s\n", ok ? "" : "not ", ++count, name);
}

int test_status(void)
{
	printf("1..%d\n", count);
	return failed || !count;
}

unsigned int test_random(unsigned int below)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005 + 1442695040888963407;
	return (state >> 33) % below;
}
