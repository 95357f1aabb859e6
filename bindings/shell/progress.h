/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_PROGRESS_H
#define CERTAUTO_SHELL_PROGRESS_H

/* What happens, on standard error: on a terminal one live line for each certificate, else plain
 * lines. */

#include <certauto.h>

enum progress_kind {
	PROGRESS_QUIET,  /* warnings only */
	PROGRESS_NORMAL, /* live on a terminal, else plain lines */
	PROGRESS_VERBOSE /* plain lines with every step */
};

void progress_begin(enum progress_kind kind);
int progress_on_event(
	const certauto_event *event, void *payload); /* a certauto_event_cb; payload unused */
void progress_tick(void);                            /* draws what has changed since; cheap */
int progress_live(void);   /* 1: call progress_tick() several times a second */
void progress_clear(void); /* takes the live lines away, before anything else is printed */

#endif
