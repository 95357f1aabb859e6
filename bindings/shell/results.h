/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_RESULTS_H
#define CERTAUTO_SHELL_RESULTS_H

/* What a verb has done, one result for each thing it was done to. */

#include "shell.h"

/* What outcomes are called for people. */
struct words {
	const char *done, *unchanged;
	int with_state;         /* then until when it is valid, and how it is on its targets */
	int64_t begun_at;       /* a target not looked at since is not told of a failure */
};

/* Says what the fleet's last verb did, which ended with rc; returns the exit status. */
int results_say(struct shell *shell, int rc, const struct words *words);

/* One result of a verb that has no fleet to keep it: outcome done, or failed with rc < 0. Gathered
 * in out, said by results_say_own(). key NULL = none. Complains about a failure at once. */
struct results {
	struct text json;
	size_t n_done, n_failed, n_later;
};

/* The same for a verb that prints a document of its own: counts, complains, returns the outcome. */
const char *results_count(struct results *results, const struct failure *failure);
int results_status(const struct results *results); /* the exit status so far */

void results_add(
	struct results *results, struct shell *shell, const char *name, const char *key, int rc);
int results_say_own(struct shell *shell, struct results *results); /* frees it; the exit status */

#endif
