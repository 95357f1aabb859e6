/* SPDX-License-Identifier: Apache-2.0 */
/* http-01 through HAProxy: its configuration answers the challenge's path from a map,
 *
 *	http-request return status 200 content-type text/plain lf-string %[path,map(MAP)]
 *		if { path_beg /.well-known/acme-challenge/ } { path,map(MAP) -m found }
 *
 * and an entry is put into that map, and taken out again, while it runs. The key is the whole
 * path. */

#include "targets/haproxy.h"

#include <string.h>

#include "core/memory.h"

/* del and add in one line: a repeated or resumed add leaves one entry, and one round trip is
 * saved. */
static certauto__verdict add_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *token = certauto__fact(job, "token"), *value = certauto__fact(job, ".value");
	const char *map = certauto__option_text(target, "map");

	if (certauto__challenge_begin(job, target) == CERTAUTO__FAILED)
		return CERTAUTO__FAILED;
	if (token == NULL || value == NULL) /* of a plan */
		return certauto__haproxy_ask(x, target, "add map", "add map %s", map);
	return certauto__haproxy_ask(x, target, "add map",
		"del map %s " CERTAUTO__HAPROXY_CHALLENGES "%s; "
		"add map %s " CERTAUTO__HAPROXY_CHALLENGES "%s %s",
		map, token, map, token, value);
}

certauto__verdict certauto__haproxy_no_map(certauto_job *job, const certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *map = certauto__option_text(target, "map");
	certauto_error error = {0};

	certauto__error_set(&error, CERTAUTO_ENOTFOUND, map,
		"%s: HAProxy at %s knows no map \"%s\"", target->label,
		certauto__buffer_text(&x->url), map);
	certauto__error_advise(&error,
		"write the option map exactly as in HAProxy's configuration, which must use it: "
		"\"http-request return status 200 content-type text/plain lf-string "
		"%%[path,map(%s)] if { path_beg " CERTAUTO__HAPROXY_CHALLENGES
		" } { path,map(%s) -m found }\"",
		map, map);
	return certauto__fail_with(job, &error);
}

/* Silence is consent, but for the first half: there was nothing to delete. */
static certauto__verdict add_read(certauto_job *job, certauto__exchange *x)
{
	static const char nothing[] = "Key not found.";
	const char *text = certauto__exchange_answer(x, NULL);

	if (certauto__haproxy_says(x, "Unknown map"))
		return certauto__haproxy_no_map(job, x);
	text += strspn(text, "\r\n ");
	if (certauto__text_starts(text, nothing))
		text += strlen(nothing);
	if (text[strspn(text, "\r\n ")] == '\0')
		return CERTAUTO__NEXT;
	return certauto__haproxy_refused(job, x, certauto__fact(job, "name"),
		"adding the challenge's answer to the map");
}

static certauto__verdict add_undo(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *token = certauto__fact(job, "token"),
		   *map = certauto__option_text(target, "map");

	if (!certauto__challenge_is_text(token) || map == NULL)
		return CERTAUTO__NEXT; /* it was refused for that */
	return certauto__haproxy_ask(x, target, "del map",
		"del map %s " CERTAUTO__HAPROXY_CHALLENGES "%s", map, token);
}

static const struct certauto__step haproxy_present_steps[] = {
	{.name = "map", .ask = add_ask, .read = add_read, .undo = add_undo},
	CERTAUTO__STEP_CHALLENGE_CHECK,
};

const struct certauto__table certauto__haproxy_present = {
	.name = "haproxy-present",
	.steps = haproxy_present_steps,
	.n_steps = sizeof(haproxy_present_steps) / sizeof(haproxy_present_steps[0]),
};
