/* SPDX-License-Identifier: GPL-2.0 */
/* A writer of capture files, as Wireshark reads them. */
#ifndef _PCAPNG_H
#define _PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

struct pcapng;

/* Both: NULL or false with errno. @file stays the caller's. */
struct pcapng *pcapng_start(FILE *file, const char *application);
/* A raw IP packet: its whole length is @len. @inbound: its direction. */
bool pcapng_write(struct pcapng *pcapng, const char *interface, bool inbound,
		  const struct timespec *time, const void *data, size_t len,
		  const char *comment);
void pcapng_free(struct pcapng *pcapng);

#endif /* _PCAPNG_H */
