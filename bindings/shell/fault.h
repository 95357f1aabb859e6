/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_FAULT_H
#define CERTAUTO_SHELL_FAULT_H

/* An error, whether the library has it as an object or tells it in JSON: shown in one way. */

#include <certauto.h>

#include "json.h"
#include "text.h"

struct fault {
	const char *code; /* "CERTAUTO_ENET" */
	const char *message;
	const char *advice; /* this and the next two: NULL when there is none */
	const char *object;
	const char *type; /* ACME problem */
	int status;
	int64_t retry_at;
	const certauto_error *error; /* where the subproblems are: here, */
	const struct json *json;     /* or here */
};

/* Borrowed from error, which may be NULL: then code alone speaks. */
struct fault fault_of_error(int code, const certauto_error *error);
/* Borrowed from an ERROR object. */
struct fault fault_of_json(const struct json *json);
/* Lines for people, each ended: subject (or NULL), message, then indented what else is known. */
void fault_add(struct text *out, const struct fault *fault, const char *subject);
/* The ERROR object of certauto-status(7). */
void fault_add_json(struct text *out, const struct fault *fault);

#endif
