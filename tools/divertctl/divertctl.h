/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of divertctl share.
 *
 * Functions that can fail return -1 and leave in struct error what was wrong
 * and what would be right; main prints it. Exit status: 0, 1 for what failed,
 * 2 for a wrong command line.
 */
#ifndef _DIVERTCTL_H
#define _DIVERTCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define __printf(at, args)	__attribute__((__format__(printf, at, args)))
#define __noreturn		__attribute__((__noreturn__))
#define ARRAY_LEN(a)		(sizeof(a) / sizeof((a)[0]))

#define STATUS_FAILED	1
#define STATUS_USAGE	2

/* How often we begin anew when what we read or write changes meanwhile */
#define TRIES		20

/* error.c */

struct error {
	char text[512];
};

/* Say what is wrong; always -1. */
int __printf(2, 3) fail(struct error *err, const char *format, ...);
/* For what leaves nothing to do but to say it. */
void __printf(1, 2) __noreturn die(const char *format, ...);
/* The command line is wrong. */
void __printf(1, 2) __noreturn die_usage(const char *format, ...);
/* Memory or the end. */
void *must_alloc(size_t size);
void *must_resize(void *old, size_t size);
char *must_print(const char *format, ...) __printf(1, 2);

/* number.c */

/* The whole of @text is a number from @min to @max; decimal or 0x... */
bool parse_number(const char *text, unsigned long min, unsigned long max,
		  unsigned long *number);
/* A divert port from the command line, or the end. */
uint16_t parse_port(const char *text);

/* conf.c */

/**
 * struct conf - net.divert.* of this network namespace
 */
struct conf {
	/** @loaded: the module is there; else these are the defaults */
	bool loaded;
	uint32_t port_mask;
	uint32_t cookie_mask;
	uint32_t tee_mask;
	uint32_t port_base;
	uint32_t port_range[2];
	uint32_t defrag;
	uint32_t rcvbuf;
	char no_listener[16];
};

void conf_read(struct conf *conf);
/* "module: not loaded ..." or nothing. */
int conf_need_module(const struct conf *conf, struct error *err);
uint32_t conf_ours(const struct conf *conf);
uint32_t field_max(uint32_t mask);
uint32_t field_put(uint32_t mask, uint32_t value);
/* The mark of a rule, or what the masks have against it. */
int conf_mark(const struct conf *conf, unsigned int port, unsigned int cookie,
	      bool tee, uint32_t *mark, struct error *err);

/* One file a command. argv[0] is its name; returns the exit status. */
int cmd_add(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_flush(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_mark(int argc, char **argv);
int cmd_monitor(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_stats(int argc, char **argv);

#endif /* _DIVERTCTL_H */
