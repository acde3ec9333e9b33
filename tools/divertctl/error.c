// SPDX-License-Identifier: GPL-2.0
/* Saying what is wrong, and memory. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "divertctl.h"

int fail(struct error *err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return -1;
}

static void complain(const char *format, va_list args)
{
	fflush(stdout);
	fputs("divertctl: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	exit(STATUS_FAILED);
}

void die_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	exit(STATUS_USAGE);
}

void *must_alloc(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		die("out of memory");
	return memory;
}

void *must_resize(void *old, size_t size)
{
	void *memory = realloc(old, size);

	if (!memory)
		die("out of memory");
	return memory;
}

char *must_print(const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0)
		die("out of memory");
	return text;
}
