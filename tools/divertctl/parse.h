/* SPDX-License-Identifier: GPL-2.0 */
/* The parser's rooms: parse.c (the order of words), address.c, option.c. */
#ifndef _PARSE_H
#define _PARSE_H

#include "rule.h"

struct parser {
	struct tokens tokens;
	int i;
	struct rule *rule;
	/** @protocols: IP protocol numbers, one byte each; none = any */
	struct ranges protocols;
	struct error *err;
};

/* The next word, or "the end" where an error names it. */
const char *peek(const struct parser *p);
bool at_end(const struct parser *p);
bool next_is(const struct parser *p, const char *word);
/* Take the next word if it is this one. */
bool accept_word(struct parser *p, const char *word);
const char *take(struct parser *p);
/* Is the protocol known to be this one? */
bool protocol_is(const struct parser *p, int protocol);

/* address.c */
int parse_endpoint(struct parser *p, struct endpoint *endpoint);
/* Comma list of ports, if one is next. */
int parse_ports(struct parser *p, enum key_id key);
/* Comma list of numbers up to @max, as what the error calls @what. */
int parse_list(struct parser *p, const char *what, int len, unsigned long max,
	       struct ranges *ranges);

/* option.c */
int parse_options(struct parser *p);
bool is_option(const char *word);

#endif /* _PARSE_H */
