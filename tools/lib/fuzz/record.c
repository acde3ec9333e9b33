// SPDX-License-Identifier: GPL-2.0
/*
 * Any bytes as records: all that is found lies within them, and the search ends.
 */

#include <stdlib.h>
#include <string.h>

#include <libdivert/libdivert.h>

int fuzz_one(const uint8_t *data, size_t size)
{
	struct divert_record *record;
	char *copy = malloc(size);
	size_t at = 0, before = 0;
	volatile char byte;
	const char *bytes;
	unsigned int i;

	memcpy(copy, data, size);
	while ((record = divert_record_next(copy, size, &at))) {
		if (at < before + sizeof(*record))
			abort();
		before = at;
		bytes = divert_record_data(record);
		for (i = 0; i < record->captured; i++)
			byte = bytes[i];
		divert_addr_ifindex(divert_record_addr(record));
	}
	(void)byte;
	free(copy);
	return 0;
}
