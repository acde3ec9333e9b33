// SPDX-License-Identifier: GPL-2.0
/* Sets of values and lists of matches. */

#include <stdlib.h>
#include <string.h>

#include "rule.h"

void ranges_add(struct ranges *ranges, const struct range *range)
{
	ranges->at = must_resize(ranges->at,
				 (ranges->n + 1) * sizeof(*ranges->at));
	ranges->at[ranges->n++] = *range;
}

static void value_put(uint8_t *value, int len, uint32_t number)
{
	for (int i = len - 1; i >= 0; i--, number >>= 8)
		value[i] = number;
}

uint32_t value_number(const uint8_t *value, int len)
{
	uint32_t number = 0;

	for (int i = 0; i < len; i++)
		number = number << 8 | value[i];
	return number;
}

void ranges_add_number(struct ranges *ranges, int len, uint32_t lo, uint32_t hi)
{
	struct range range = { 0 };

	value_put(range.lo, len, lo);
	value_put(range.hi, len, hi);
	ranges_add(ranges, &range);
}

static int compare(const void *a, const void *b)
{
	return memcmp(((const struct range *)a)->lo,
		      ((const struct range *)b)->lo, sizeof(((struct range *)0)->lo));
}

/* Does @next begin at or right behind the end of @range? */
static bool touches(const struct range *range, const struct range *next,
		    int len)
{
	uint8_t behind[16];

	memcpy(behind, range->hi, len);
	for (int i = len - 1; i >= 0 && !++behind[i]; i--)
		;
	return memcmp(next->lo, range->hi, len) <= 0 ||
	       !memcmp(next->lo, behind, len);
}

void ranges_merge(struct ranges *ranges, int len)
{
	struct range *last = ranges->at;

	if (ranges->n < 2)
		return;
	qsort(ranges->at, ranges->n, sizeof(*ranges->at), compare);
	for (size_t i = 1; i < ranges->n; i++) {
		const struct range *next = &ranges->at[i];

		if (!touches(last, next, len))
			*++last = *next;
		else if (memcmp(next->hi, last->hi, len) > 0)
			memcpy(last->hi, next->hi, len);
	}
	ranges->n = last - ranges->at + 1;
}

struct ranges ranges_copy(const struct ranges *ranges)
{
	struct ranges copy = { .n = ranges->n };

	if (ranges->n) {
		copy.at = must_alloc(ranges->n * sizeof(*ranges->at));
		memcpy(copy.at, ranges->at, ranges->n * sizeof(*ranges->at));
	}
	return copy;
}

void ranges_free(struct ranges *ranges)
{
	free(ranges->at);
	*ranges = (struct ranges){ 0 };
}

static int bit(const uint8_t *value, int i)
{
	return value[i / 8] >> (7 - i % 8) & 1;
}

int range_prefix(const struct range *range, int len)
{
	int prefix = 0;

	while (prefix < len * 8 &&
	       bit(range->lo, prefix) == bit(range->hi, prefix))
		prefix++;
	for (int i = prefix; i < len * 8; i++)
		if (bit(range->lo, i) || !bit(range->hi, i))
			return -1;
	return prefix;
}

struct match *matches_add(struct matches *matches, enum key_id key)
{
	struct match *match;

	matches->at = must_resize(matches->at,
				  (matches->n + 1) * sizeof(*matches->at));
	match = &matches->at[matches->n++];
	*match = (struct match){ .key = key };
	return match;
}

struct match *matches_number(struct matches *matches, enum key_id key,
			     uint32_t number)
{
	struct match *match = matches_add(matches, key);

	ranges_add_number(&match->values, keys[key].len, number, number);
	return match;
}

struct match *matches_copy(struct matches *matches, const struct match *from)
{
	struct match *match = matches_add(matches, from->key);

	*match = *from;
	match->values = ranges_copy(&from->values);
	return match;
}

void matches_free(struct matches *matches)
{
	for (size_t i = 0; i < matches->n; i++)
		ranges_free(&matches->at[i].values);
	free(matches->at);
	*matches = (struct matches){ 0 };
}
