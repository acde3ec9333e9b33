// SPDX-License-Identifier: GPL-2.0
/* Numbers on the command line. */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "divertctl.h"

bool parse_number(const char *text, unsigned long min, unsigned long max,
		  unsigned long *number)
{
	int base = text[0] == '0' && (text[1] | 32) == 'x' ? 16 : 10;
	unsigned long value;
	char *end;

	/* strtoul() takes signs and blanks. */
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	value = strtoul(text, &end, base);
	if (errno || *end || value < min || value > max)
		return false;
	*number = value;
	return true;
}

uint16_t parse_port(const char *text)
{
	unsigned long port;

	if (!parse_number(text, 1, 65535, &port))
		die_usage("%s: not a divert port; it is a number from 1 to 65534",
			  text);
	return port;
}
