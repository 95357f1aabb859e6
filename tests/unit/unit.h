/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_UNIT_H
#define CERTAUTO_TESTS_UNIT_H

/* What every unit test begins with: cmocka, and the sweep that makes each allocation fail once. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <certauto/error.h>

#include "core/memory.h"

/* Runs scenario with its first, second, third ... allocation failing, alone and with all that come
 * after it, until it passes. It must return CERTAUTO_ENOMEM each time, having freed everything
 * (the sanitizer build sees to that), and at least one allocation must have failed. */
static inline void unit_oom_sweep(const char *name, int (*scenario)(void *arg), void *arg)
{
	int sticky, rc;
	long n;

	for (sticky = 0; sticky <= 1; sticky++) {
		for (n = 1; ; n++) {
			certauto__alloc_fail_at(n, sticky);
			rc = scenario(arg);
			certauto__alloc_fail_at(0, 0);
			if (rc == 0)
				break;
			if (rc != CERTAUTO_ENOMEM)
				fail_msg("%s:%ld:%s: returned %d", name, n,
					sticky ? "sticky" : "once", rc);
		}
		assert_true(n > 1);
	}
}

#endif
