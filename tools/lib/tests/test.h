/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the unit tests share. Each program's main() calls its tests by TEST() and
 * ends with test_status().
 */
#ifndef _LIBDIVERT_TEST_H
#define _LIBDIVERT_TEST_H

#include <stdbool.h>

/* Inside a test: what must be true; else the test has failed and goes on. */
#define CHECK(condition)	\
	test_check(condition, #condition, __FILE__, __LINE__)

#define ARRAY_LEN(a)	((int)(sizeof(a) / sizeof((a)[0])))

#define TEST(function)		test_run(#function, function)

void test_check(bool condition, const char *text, const char *file, int line);
void test_run(const char *name, void (*function)(void));
int test_status(void);

/* The same sequence on each run. */
unsigned int test_random(unsigned int below);

#endif /* _LIBDIVERT_TEST_H */
