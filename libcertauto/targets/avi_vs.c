/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual services as certauto reads them: what listens at port 80, and which policy sets are
 * attached. */

#include "targets/avi_present.h"

#include <stdio.h>
#include <string.h>

#include "crypto/crypto.h"

/* Bigger than usual: virtual hosts may have many names. */
#define ANSWER_MAX (4 * 1024 * 1024)
#define HEX "0123456789abcdef"
#define TIME_DIGITS 8    /* in the name of an answer, at least */
#define DIGEST_DIGITS 16 /* behind it */
#define MARK_DIGITS 8    /* at the end of the name of a mark */

const char *const certauto__avi_vs_fields[CERTAUTO__AVI_VS_N + 1] = {
	[CERTAUTO__AVI_VS_UUID] = "uuid",
	[CERTAUTO__AVI_VS_NAME] = "name",
	[CERTAUTO__AVI_VS_ENABLED] = "enabled",
	[CERTAUTO__AVI_VS_TYPE] = "type",
	[CERTAUTO__AVI_VS_VH_TYPE] = "vh_type",
	[CERTAUTO__AVI_VS_PARENT] = "vh_parent_vs_ref",
	[CERTAUTO__AVI_VS_PROFILE] = "application_profile_ref",
	[CERTAUTO__AVI_VS_PORTS] = "services[].port",
	[CERTAUTO__AVI_VS_ENDS] = "services[].port_range_end",
	[CERTAUTO__AVI_VS_TLS] = "services[].enable_ssl",
	[CERTAUTO__AVI_VS_HTTP2] = "services[].enable_http2",
	[CERTAUTO__AVI_VS_SETS] = "http_policies[].http_policy_set_ref",
	[CERTAUTO__AVI_VS_INDEXES] = "http_policies[].index",
	[CERTAUTO__AVI_VS_DOMAINS] = "vh_domain_name[]",
	[CERTAUTO__AVI_VS_HOSTS] = "vh_matches[].host",
};

/* ---- asking ---- */

void certauto__avi_vs_query(certauto__buffer *query, const char *name, const char *value)
{
	if (name != NULL)
		certauto__avi_arg(query, name, value);
	/* Else references come without the names of what they refer to. */
	certauto__avi_arg(query, "include_name", "true");
	certauto__avi_arg(query, "fields",
		"name,enabled,type,vh_type,vh_parent_vs_ref,application_profile_ref,services,"
		"http_policies,vh_domain_name,vh_matches");
}

certauto__verdict certauto__avi_vs_get(certauto__exchange *x, const certauto_target *target,
	const char *uuid)
{
	certauto__verdict verdict;

	verdict = certauto__avi_call(
		x, target, "GET", "virtualservice", uuid, "include_name=true");
	x->max_answer = ANSWER_MAX;
	return verdict;
}

int certauto__avi_vs_is_child(const char *const *vs)
{
	return certauto__text_equal(vs[CERTAUTO__AVI_VS_TYPE], "VS_TYPE_VH_CHILD");
}

int certauto__avi_vs_is_evh(const char *const *vs)
{
	return certauto__text_equal(vs[CERTAUTO__AVI_VS_VH_TYPE], "VS_TYPE_VH_ENHANCED");
}

int certauto__avi_status(const certauto__exchange *x)
{
	return x->rc == 0 ? x->status : 0;
}

int certauto__avi_is_crowded(const certauto__exchange *x)
{
	int status = certauto__avi_status(x);

	return status == 400 || status == 409 || status == 412;
}

/* ---- lists ---- */

int certauto__avi_item(char *out, size_t size, const char **at)
{
	size_t len;

	out[0] = '\0';
	if (*at == NULL)
		return 0;
	len = strcspn(*at, ",");
	(void)snprintf(out, size, "%.*s", (int)len, *at);
	*at = (*at)[len] == ',' ? *at + len + 1 : NULL;
	return 1;
}

/* ---- port 80 ---- */

void certauto__avi_port80(struct certauto__avi_port80 *out, const char *const *vs)
{
	const char *ports = vs[CERTAUTO__AVI_VS_PORTS], *ends = vs[CERTAUTO__AVI_VS_ENDS],
		   *tls = vs[CERTAUTO__AVI_VS_TLS], *http2 = vs[CERTAUTO__AVI_VS_HTTP2];
	char port[24], end[24], is_tls[24], has_http2[24];
	int64_t first, last;
	int n;

	memset(out, 0, sizeof(*out));
	for (n = 0; certauto__avi_item(port, sizeof(port), &ports); n++) {
		certauto__avi_item(end, sizeof(end), &ends);
		certauto__avi_item(is_tls, sizeof(is_tls), &tls);
		certauto__avi_item(has_http2, sizeof(has_http2), &http2);
		out->with_http2 |= has_http2[0] != '\0';
		if (certauto__number_parse(port, 1, 65535, &first) < 0)
			continue;
		if (certauto__number_parse(end, first, 65535, &last) < 0)
			last = first;
		if (first > 80 || last < 80)
			continue;
		if (certauto__text_equal(is_tls, "true")) {
			out->is_tls = 1;
			continue;
		}
		out->is_plain = 1;
		out->item = n;
		out->is_alone = first == last && !certauto__text_equal(has_http2, "true");
	}
}

/* An entry is deleted by one that is wholly the same: written as the controller writes it. */
void certauto__avi_put_port80(certauto__json *w, int with_http2)
{
	certauto__json_key(w, "services");
	certauto__json_array(w);
	certauto__json_object(w);
	if (with_http2)
		certauto__json_put_bool(w, "enable_http2", 0);
	certauto__json_put_bool(w, "enable_ssl", 0);
	certauto__json_put_number(w, "port", 80);
	certauto__json_put_number(w, "port_range_end", 80);
	certauto__json_object_end(w);
	certauto__json_array_end(w);
}

/* ---- policy sets ---- */

void certauto__avi_sets_begin(struct certauto__avi_sets *at, const char *const *vs)
{
	at->sets = vs[CERTAUTO__AVI_VS_SETS];
	at->indexes = vs[CERTAUTO__AVI_VS_INDEXES];
	at->n = 0;
}

int certauto__avi_sets_next(struct certauto__avi_sets *at, struct certauto__avi_set *out)
{
	char ref[1024];
	const char *name;

	if (!certauto__avi_item(ref, sizeof(ref), &at->sets))
		return 0;
	certauto__avi_item(out->index, sizeof(out->index), &at->indexes);
	out->item = at->n++;
	certauto__rest_id(out->uuid, ref);
	name = strchr(ref, '#');
	(void)snprintf(out->name, sizeof(out->name), "%.255s", name != NULL ? name + 1 : "");
	return 1;
}

certauto__verdict certauto__avi_set_get(certauto__exchange *x, const certauto_target *target,
	const char *name)
{
	certauto__buffer query = CERTAUTO__BUFFER(2048);
	certauto__verdict verdict;

	certauto__avi_arg(&query, "name", name);
	certauto__avi_arg(&query, "fields", "name");
	verdict = certauto__avi_call(
		x, target, "GET", "httppolicyset", NULL, certauto__buffer_text(&query));
	if (query.rc < 0)
		x->url.rc = query.rc;
	certauto__buffer_free(&query);
	return verdict;
}

static void put_set(certauto__json *w, const char *uuid, const char *index)
{
	int64_t number = 0;

	if (uuid == NULL || index == NULL)
		return;
	certauto__json_object(w);
	certauto__avi_put_ref(w, "http_policy_set_ref", "httppolicyset", uuid);
	certauto__number_parse(index, INT64_MIN, INT64_MAX, &number);
	certauto__json_put_number(w, "index", number);
	certauto__json_object_end(w);
}

void certauto__avi_put_sets(certauto__json *w, const char *uuid, const char *index,
	const char *mark, const char *mark_index)
{
	if (uuid == NULL && mark == NULL)
		return;
	certauto__json_key(w, "http_policies");
	certauto__json_array(w);
	put_set(w, uuid, index);
	put_set(w, mark, mark_index);
	certauto__json_array_end(w);
}

int certauto__avi_is_mark(const char *set_name)
{
	const char *at = set_name;

	while ((at = strstr(at, CERTAUTO__AVI_MARK)) != NULL) {
		at += sizeof(CERTAUTO__AVI_MARK) - 1;
		if (strspn(at, HEX) == MARK_DIGITS && at[MARK_DIGITS] == '\0')
			return 1;
	}
	return 0;
}

void certauto__avi_mark_name(char out[CERTAUTO__AVI_NAME], const certauto_target *target,
	const char *door)
{
	char digest[65] = "";

	certauto__sha256_hex(digest, door, strlen(door));
	(void)snprintf(out, CERTAUTO__AVI_NAME, "%s" CERTAUTO__AVI_MARK "%.*s",
		certauto__option_text(target, "prefix"), MARK_DIGITS, digest);
}

/* Time and digest, as of certauto__avi_answer(), behind whatever prefix. */
static int is_answer(const char *set_name)
{
	const char *at = set_name;
	size_t n;

	while ((at = strstr(at, CERTAUTO__AVI_ANSWER)) != NULL) {
		at += sizeof(CERTAUTO__AVI_ANSWER) - 1;
		n = strspn(at, HEX);
		if (n >= TIME_DIGITS && at[n] == '-' && strspn(at + n + 1, HEX) == DIGEST_DIGITS &&
			at[n + 1 + DIGEST_DIGITS] == '-')
			return 1;
	}
	return 0;
}

int certauto__avi_mark(struct certauto__avi_set *out, const char *const *vs, const char *own)
{
	struct certauto__avi_sets at;

	for (certauto__avi_sets_begin(&at, vs); certauto__avi_sets_next(&at, out);)
		if (certauto__avi_is_mark(out->name) || certauto__text_equal(out->uuid, own))
			return 1;
	return 0;
}

int certauto__avi_is_nameless(const char *const *vs)
{
	struct certauto__avi_sets at;
	struct certauto__avi_set set;

	for (certauto__avi_sets_begin(&at, vs); certauto__avi_sets_next(&at, &set);)
		if (set.name[0] == '\0')
			return 1;
	return 0;
}

int certauto__avi_has_answer(const char *const *vs, const char *but_uuid)
{
	struct certauto__avi_sets at;
	struct certauto__avi_set set;

	for (certauto__avi_sets_begin(&at, vs); certauto__avi_sets_next(&at, &set);)
		if (is_answer(set.name) && !certauto__text_equal(set.uuid, but_uuid))
			return 1;
	return 0;
}

/* ---- noted ---- */

void certauto__avi_note(certauto_job *job, enum certauto__avi_place place, const char *const *vs)
{
	static const char *const facts[CERTAUTO__AVI_PLACES][2] = {
		{".door.sets", ".door.indexes"}, {".child.sets", ".child.indexes"}};
	struct certauto__avi_port80 port80;
	struct certauto__avi_set mark;

	certauto__fact_set(job, facts[place][0], vs[CERTAUTO__AVI_VS_SETS]);
	certauto__fact_set(job, facts[place][1], vs[CERTAUTO__AVI_VS_INDEXES]);
	if (place != CERTAUTO__AVI_DOOR)
		return;
	certauto__avi_port80(&port80, vs);
	certauto__fact_set(job, ".vs.port80", NULL);
	if (port80.is_plain)
		certauto__fact_set(job, ".vs.port80",
			certauto__avi_mark(&mark, vs, certauto__fact_own(job, "mark"))
				? "temporary" : "yes");
	certauto__fact_set(job, ".vs.tls80", port80.is_tls ? "yes" : NULL);
	certauto__fact_set(job, ".vs.http2", port80.with_http2 ? "yes" : NULL);
}

void certauto__avi_noted(struct certauto__avi_sets *at, const certauto_job *job,
	enum certauto__avi_place place)
{
	int is_door = place == CERTAUTO__AVI_DOOR;

	at->sets = certauto__fact_own(job, is_door ? ".door.sets" : ".child.sets");
	at->indexes = certauto__fact_own(job, is_door ? ".door.indexes" : ".child.indexes");
	at->n = 0;
}
