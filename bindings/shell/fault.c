/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, for people and as JSON. */

#include "fault.h"

#include <string.h>

#define ACME_PREFIX "urn:ietf:params:acme:error:"

/* What went wrong with one name. */
struct part {
	const char *name, *type, *detail;
};

struct fault fault_of_error(int code, const certauto_error *error)
{
	struct fault fault = {.error = error};

	fault.code = certauto_error_name(error != NULL ? certauto_error_code(error) : code);
	fault.message = error != NULL ? certauto_error_message(error) : certauto_error_text(code);
	fault.advice = certauto_error_advice(error);
	fault.object = certauto_error_object(error);
	fault.type = certauto_error_problem(error);
	fault.status = certauto_error_status(error);
	fault.retry_at = certauto_error_retry_at(error);
	return fault;
}

struct fault fault_of_json(const struct json *json)
{
	struct fault fault = {.json = json_get(json, "subproblems")};
	const char *code = json_text(json, "code"), *message = json_text(json, "message");

	fault.code = code != NULL ? code : "CERTAUTO_UNKNOWN";
	fault.message = message != NULL ? message : fault.code;
	fault.advice = json_text(json, "advice");
	fault.object = json_text(json, "object");
	fault.type = json_text(json, "type");
	fault.status = (int)json_number(json, "status");
	fault.retry_at = json_number(json, "retry_at");
	return fault;
}

/* The i-th part; 0 past the end. */
static int fault_part(const struct fault *fault, size_t i, struct part *out)
{
	const struct json *item;

	if (fault->error != NULL) {
		out->name = certauto_error_subproblem_name(fault->error, i);
		out->type = certauto_error_subproblem_problem(fault->error, i);
		out->detail = certauto_error_subproblem_detail(fault->error, i);
		return i < certauto_error_n_subproblems(fault->error);
	}
	for (item = fault->json != NULL ? fault->json->first : NULL; item != NULL;
		item = item->next)
		if (i-- == 0)
			break;
	out->name = json_text(item, "name");
	out->type = json_text(item, "type");
	out->detail = json_text(item, "detail");
	return item != NULL;
}

/* The CA's own words for a problem's kind, without the part that is always the same. */
static const char *short_type(const char *type)
{
	return strncmp(type, ACME_PREFIX, strlen(ACME_PREFIX)) == 0 ? type + strlen(ACME_PREFIX)
								    : type;
}

static void add_line(struct text *out, const char *label, const char *value)
{
	text_printf(out, "    %s", label);
	text_add_shown(out, value);
	text_add(out, "\n");
}

static void add_part(struct text *out, const struct part *part)
{
	text_add(out, "    ");
	text_add_shown(out, part->name != NULL ? part->name : "(no name)");
	text_add(out, ": ");
	text_add_shown(out, part->detail != NULL ? part->detail : "no explanation given");
	if (part->type != NULL) {
		text_add(out, " (");
		text_add_shown(out, short_type(part->type));
		text_add(out, ")");
	}
	text_add(out, "\n");
}

void fault_add(struct text *out, const struct fault *fault, const char *subject)
{
	struct part part;
	size_t i;

	if (subject != NULL) {
		text_add_shown(out, subject);
		text_add(out, ": ");
	}
	text_add_shown(out, fault->message);
	text_add(out, "\n");
	/* Nothing is said twice: a message often names its object, and the first of the parts. */
	for (i = 0; fault_part(fault, i, &part); i++)
		if (part.detail == NULL || strstr(fault->message, part.detail) == NULL)
			add_part(out, &part);
	if (fault->object != NULL && strstr(fault->message, fault->object) == NULL &&
	    (subject == NULL || strstr(subject, fault->object) == NULL))
		add_line(out, "this is about ", fault->object);
	if (fault->type != NULL && strstr(fault->message, short_type(fault->type)) == NULL)
		add_line(out, "the CA calls it ", short_type(fault->type));
	if (fault->advice != NULL)
		add_line(out, "what to do: ", fault->advice);
	if (fault->retry_at != 0) {
		text_add(out, "    try again after ");
		text_add_time(out, fault->retry_at);
		text_add(out, "\n");
	}
}

static void add_member(struct text *out, const char *name, const char *value)
{
	text_printf(out, ",\"%s\":", name);
	text_add_json(out, value);
}

void fault_add_json(struct text *out, const struct fault *fault)
{
	struct part part;
	size_t i;

	text_add(out, "{\"code\":");
	text_add_json(out, fault->code);
	add_member(out, "message", fault->message);
	add_member(out, "advice", fault->advice);
	add_member(out, "object", fault->object);
	add_member(out, "type", fault->type);
	text_add(out, ",\"status\":");
	text_add_json_known(out, fault->status);
	text_add(out, ",\"retry_at\":");
	text_add_json_known(out, fault->retry_at);
	text_add(out, ",\"subproblems\":[");
	for (i = 0; fault_part(fault, i, &part); i++) {
		text_add(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		text_add_json(out, part.name);
		add_member(out, "type", part.type);
		add_member(out, "detail", part.detail);
		text_add(out, "}");
	}
	text_add(out, "]}");
}
