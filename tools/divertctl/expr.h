/* SPDX-License-Identifier: GPL-2.0 */
/* A rule of nft as the kernel reads it. */
#ifndef _EXPR_H
#define _EXPR_H

#include <libnftnl/rule.h>
#include <libnftnl/set.h>

#include "rule.h"

/* Sets that rules look in; they go to the kernel before the rules. */
struct sets {
	struct nftnl_set **at;
	size_t n;
};

/* A rule of libnftnl's; sets it needs are added to @sets. */
struct nftnl_rule *expr_rule(const struct rule *rule,
			     const struct nft_rule *nft, struct sets *sets);
void sets_free(struct sets *sets);

/* What expr_rule() left with the rule in the kernel: 0, or -1 if it did not. */
int expr_read(const struct nftnl_rule *nft, char *text, size_t size,
	      unsigned int *number);
void expr_counter(const struct nftnl_rule *nft, uint64_t *packets,
		  uint64_t *bytes);
/* The mark it sets, 0 if none. */
uint32_t expr_mark(const struct nftnl_rule *nft);

#endif /* _EXPR_H */
