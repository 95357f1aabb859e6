/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_GATE_H
#define CERTAUTO_TARGETS_GATE_H

/* What has to be done before the first call to a device is answered: a login, the question which
 * version it is. One silent job does it for all comers, who are parked until it has ended. What was
 * refused is not tried again in a run: accounts get locked for that. */

#include "jobs/target.h"

struct certauto__gate {
	uintptr_t serial;              /* counts openings, and what else makes a call another one:
	                                  what a call was dressed with tells which one a refusal
	                                  is about */
	int ready;
	int opening;                   /* a job is at it, all others wait in waiting */
	int proved;                    /* a call has come through since */
	int vain;                      /* openings in a row after which none has */
	certauto__queue waiting;
	certauto_error refused;        /* it was: for the rest of the run; code 0: not */
	int warned;                    /* certauto__gate_warn(), in this run */
};

/* Parks job, which asks again when it goes on, and has start's job open the gate if none does; or
 * fails it with what was refused. start: table, env, name and peer; ended only if it calls
 * certauto__gate_opened(). */
certauto__verdict certauto__gate_need(certauto_job *job, struct certauto__gate *gate,
	const struct certauto__start *start);
/* Once in a run, by the first job that comes: that it is not verified who target is, if its options
 * say so. */
void certauto__gate_warn(certauto_job *job, struct certauto__gate *gate,
	const certauto_target *target);
/* The end of start's job; gate: the ended_arg if start has no ended of its own. */
void certauto__gate_opened(const certauto_job *job, struct certauto__gate *gate);
/* With a copy of error. */
void certauto__gate_refuse(struct certauto__gate *gate, const certauto_error *error);
/* 1: a call dressed with that serial was not let in as one would be now. */
int certauto__gate_is_former(const struct certauto__gate *gate, uintptr_t serial);
/* Counts a call that was not let in: how many openings in a row have been in vain by now. */
int certauto__gate_vain(struct certauto__gate *gate);
/* The end of a run: the next one may try again. */
void certauto__gate_forget(struct certauto__gate *gate);

#endif
