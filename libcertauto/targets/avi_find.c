/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual service that serves a name. The controller finds texts that have the name in them
 * (aa.example.org for a.example.org), in no order: what it gives is looked through, and all that
 * remain are compared before one is chosen.
 *
 * Facts besides those of avi.h: "door" and "child", the UUIDs of the places of avi_present.h.
 * Volatile, while it goes on: ".find", the stage; ".find.page"; ".find.vips", those with that
 * name; ".find.l4", profiles that know no HTTP; ".find.rows" and ".row.N", virtual services that
 * may be it, a value a line. */

#include "targets/avi_present.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "targets/device.h"

#define ROWS_MAX 32     /* more are not compared: it is a mess of names anyway */
#define VIPS_MAX 16
#define PAGES_MAX 50    /* whatever a controller says how many there are */
#define ANSWER_MAX (4 * 1024 * 1024)
#define UUID_PREFIX "virtualservice-"

enum stage {
	STAGE_FIXED = 1, /* by the option */
	STAGE_VIP,       /* VIPs whose DNS names have it */
	STAGE_OF_VIP,    /* who listens there */
	STAGE_DOMAIN,    /* children of SNI for that name */
	STAGE_HOST,      /* children of EVH for that host */
	STAGE_WILD_DOMAIN,
	STAGE_WILD_HOST,
	STAGE_PROFILE,   /* do they speak HTTP? */
	STAGE_PARENT     /* of the child that was found */
};

static const certauto_target *target_of(const certauto_job *job)
{
	return certauto__avi_target(job);
}

static enum stage stage_of(const certauto_job *job)
{
	int is_fixed = certauto__option_text(target_of(job), "virtualservice") != NULL;

	return (enum stage)certauto__fact_number(
		job, ".find", is_fixed ? STAGE_FIXED : STAGE_VIP);
}

static certauto__verdict enter(certauto_job *job, enum stage stage)
{
	certauto__fact_set_number(job, ".find", stage);
	certauto__fact_set(job, ".find.page", NULL);
	return certauto__again(job, 0);
}

/* A door was found that has children. */
static int is_below(const certauto_job *job)
{
	return certauto__fact_own(job, ".find.below") != NULL;
}

static void uuid_of(char out[CERTAUTO__AVI_UUID], const char *ref)
{
	certauto__rest_id(out, ref != NULL ? ref : "");
}

/* "*.example.org" of www.example.org; NULL where no certificate may have that. */
static const char *parent_domain(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL && strchr(dot + 1, '.') != NULL && !certauto__ip_check(name) ? dot
										       : NULL;
}

/* ---- rows: virtual services that are kept until the next answer ---- */

struct row {
	char *text;
	const char *vs[CERTAUTO__AVI_VS_N];
};

static void row_free(struct row *row)
{
	certauto__free(row->text);
	row->text = NULL;
}

static void row_fact(char out[16], int64_t i)
{
	(void)snprintf(out, 16, ".row.%d", (int)i);
}

static int row_load(struct row *row, const certauto_job *job, int64_t i)
{
	char fact[16], *at;
	size_t n;

	row_fact(fact, i);
	if ((row->text = certauto__strdup(certauto__fact_own(job, fact))) == NULL)
		return CERTAUTO_ENOMEM;
	for (n = 0, at = row->text; n < CERTAUTO__AVI_VS_N; n++) {
		row->vs[n] = *at != '\0' && *at != '\n' ? at : NULL;
		at += strcspn(at, "\n");
		if (*at == '\n')
			*at++ = '\0';
	}
	return 0;
}

/* The last two fields are names of virtual hosts, which have been looked at. */
static int row_keep(certauto_job *job, const char *const *vs)
{
	int64_t n = certauto__fact_number(job, ".find.rows", 0);
	certauto__buffer row = CERTAUTO__BUFFER(ANSWER_MAX);
	size_t i, at;
	char fact[16];
	int rc;

	if (n == ROWS_MAX)
		return 0;
	for (i = 0; i < CERTAUTO__AVI_VS_DOMAINS; i++) {
		at = row.len;
		certauto__buffer_text_add(&row, vs[i] != NULL ? vs[i] : "");
		/* Or a name with a line break in it would tell the fields behind it. */
		for (; at < row.len; at++)
			if (row.data[at] == '\n')
				row.data[at] = ' ';
		certauto__buffer_text_add(&row, "\n");
	}
	row_fact(fact, n);
	if ((rc = row.rc) == 0) {
		certauto__fact_set(job, fact, row.data);
		certauto__fact_set_number(job, ".find.rows", n + 1);
	}
	certauto__buffer_free(&row);
	return rc;
}

static int64_t n_rows(const certauto_job *job)
{
	return certauto__fact_number(job, ".find.rows", 0);
}

/* ---- asking ---- */

/* 1: that names a virtual service by its UUID, which people copy in upper case too. */
static int fixed_uuid(char uuid[CERTAUTO__AVI_UUID], const char *value)
{
	size_t i;

	(void)snprintf(uuid, CERTAUTO__AVI_UUID, "%s", value);
	for (i = 0; uuid[i] != '\0'; i++)
		if (uuid[i] >= 'A' && uuid[i] <= 'Z')
			uuid[i] = (char)(uuid[i] + 'a' - 'A');
	return certauto__text_starts(uuid, UUID_PREFIX);
}

static void query_fixed(certauto__buffer *query, const char *value)
{
	char uuid[CERTAUTO__AVI_UUID];

	if (fixed_uuid(uuid, value))
		certauto__avi_vs_query(query, "uuid", uuid);
	else
		certauto__avi_vs_query(query, "name", value);
}

static void query_search(certauto__buffer *query, const char *field, const char *star,
	const char *name)
{
	certauto__buffer text = CERTAUTO__BUFFER(512);

	certauto__buffer_printf(&text, "(%s,%s%s)", field, star, name);
	certauto__avi_arg(query, "search", certauto__buffer_text(&text));
	if (text.rc < 0)
		query->rc = text.rc;
	certauto__buffer_free(&text);
}

static void query_domain(certauto__buffer *query, const char *star, const char *name)
{
	char text[CERTAUTO__NAME_SIZE + 1];

	(void)snprintf(text, sizeof(text), "%s%s", star, name);
	certauto__avi_vs_query(query, "vh_domain_name.contains", text);
}

static void query_page(certauto__buffer *query, const certauto_job *job)
{
	const char *page = certauto__fact_own(job, ".find.page");
	char size[24];

	(void)snprintf(size, sizeof(size), "%d", CERTAUTO__AVI_PAGE);
	certauto__avi_arg(query, "page_size", size);
	if (page != NULL)
		certauto__avi_arg(query, "page", page);
}

static void query_of(certauto__buffer *query, const certauto_job *job, enum stage stage)
{
	const char *name = certauto__fact(job, "name"),
		   *vips = certauto__fact_own(job, ".find.vips");
	char uuid[CERTAUTO__AVI_UUID];

	if (stage == STAGE_FIXED) {
		query_fixed(query, certauto__option_text(target_of(job), "virtualservice"));
	} else if (stage == STAGE_VIP) {
		query_search(query, certauto__ip_check(name) ? "addr" : "fqdn", "", name);
		certauto__avi_arg(query, "fields", "name,dns_info,vip");
	} else if (stage == STAGE_OF_VIP) {
		certauto__avi_item(uuid, sizeof(uuid), &vips);
		certauto__avi_vs_query(query, "vsvip_ref", uuid);
	} else if (stage == STAGE_DOMAIN) {
		query_domain(query, "", name);
	} else if (stage == STAGE_WILD_DOMAIN) {
		query_domain(query, "*", parent_domain(name));
	} else if (stage == STAGE_PROFILE) {
		certauto__avi_arg(query, "uuid.in", certauto__fact_own(job, ".find.profiles"));
		certauto__avi_arg(query, "fields", "name,type");
	} else {
		query_search(query, "host", stage == STAGE_HOST ? "" : "*",
			stage == STAGE_HOST ? name : parent_domain(name));
		certauto__avi_vs_query(query, NULL, NULL);
	}
	query_page(query, job);
}

/* What an earlier look has noted. */
static void begin(certauto_job *job)
{
	static const char *const facts[] = {"vs", "door", "child", ".child.evh", ".vs.name",
		".vs.address", ".vs.port80", ".vs.tls80"};
	size_t i;

	for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		certauto__fact_set(job, facts[i], NULL);
}

certauto__verdict certauto__avi_find_ask(certauto_job *job, certauto__exchange *x)
{
	static const char *const types[] = {
		[STAGE_VIP] = "vsvip", [STAGE_PROFILE] = "applicationprofile",
		[STAGE_PARENT] = NULL};
	enum stage stage = stage_of(job);
	certauto__buffer query = CERTAUTO__BUFFER(16384);
	certauto__verdict verdict;

	if (certauto__fact_own(job, ".find") == NULL)
		begin(job);
	if (stage == STAGE_PARENT)
		return certauto__avi_vs_get(x, target_of(job), certauto__fact_own(job, "door"));
	query_of(&query, job, stage);
	verdict = certauto__avi_call(x, target_of(job), "GET",
		types[stage] != NULL ? types[stage] : "virtualservice", NULL,
		certauto__buffer_text(&query));
	x->max_answer = ANSWER_MAX;
	if (query.rc < 0)
		x->url.rc = query.rc;
	certauto__buffer_free(&query);
	return verdict;
}

/* ---- what did not work ---- */

static void add_quoted(certauto__buffer *out, const char *before, const char *text)
{
	certauto__buffer_printf(out, "%s\"", before);
	certauto__text_escape(out, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
	certauto__buffer_text_add(out, "\"");
}

/* "virtual service "shop"" and what is the matter with it. */
static certauto__verdict unfit(certauto_job *job, const char *const *vs, const char *matter,
	const char *advice)
{
	certauto__buffer name = CERTAUTO__BUFFER(1024);
	certauto_error error = {0};

	add_quoted(&name, "", vs[CERTAUTO__AVI_VS_NAME]);
	certauto__error_set(&error, CERTAUTO_EREFUSED, vs[CERTAUTO__AVI_VS_NAME],
		"the virtual service %s %s", certauto__buffer_text(&name), matter);
	certauto__buffer_free(&name);
	certauto__device_sign(&error, target_of(job));
	certauto__error_advise(&error, "%s", advice);
	return certauto__fail_with(job, &error);
}

static certauto__verdict not_found(certauto_job *job)
{
	const certauto_target *target = target_of(job);
	const char *option = certauto__option_text(target, "virtualservice"),
		   *name = certauto__fact(job, "name"),
		   *tenant = certauto__option_text(target, "tenant"),
		   *wild = name != NULL ? parent_domain(name) : NULL;
	certauto_error error = {0};

	if (option != NULL) {
		certauto__error_set(&error, CERTAUTO_ENOTFOUND, option,
			"there is no virtual service \"%s\" in the tenant \"%s\"", option, tenant);
		certauto__device_sign(&error, target);
		certauto__error_advise(&error,
			"write the option virtualservice as the controller has it, upper and lower "
			"case, or leave it out: then it is found by each name. A uuid changes when "
			"a configuration is exported and imported");
		return certauto__fail_with(job, &error);
	}
	certauto__error_set(&error, CERTAUTO_ENOTFOUND, name,
		"no virtual service in the tenant \"%s\" is for %s: neither a VIP has that DNS "
		"name, nor is there a child of a parent for %s%s%s",
		tenant, name, name, wild != NULL ? " or *" : "", wild != NULL ? wild : "");
	certauto__device_sign(&error, target);
	certauto__error_advise(&error,
		"add the name to the VIP of its virtual service (Application Domain Name; "
		"dns_info of the VsVip), or set the option virtualservice to the name of the one "
		"that answers port 80 of %s",
		name);
	return certauto__fail_with(job, &error);
}

/* ---- which of them ---- */

static int is_l4(const certauto_job *job, const char *const *vs)
{
	const char *at = certauto__fact_own(job, ".find.l4");
	char profile[CERTAUTO__AVI_UUID], uuid[CERTAUTO__AVI_UUID];

	uuid_of(profile, vs[CERTAUTO__AVI_VS_PROFILE]);
	while (certauto__avi_item(uuid, sizeof(uuid), &at))
		if (strcmp(uuid, profile) == 0)
			return 1;
	return 0;
}

static int is_disabled(const char *const *vs)
{
	return certauto__text_equal(vs[CERTAUTO__AVI_VS_ENABLED], "false");
}

/* What cannot answer is only taken where there is nothing else; a child is for the name, so it
 * comes before its parent. */
static int score_of(const certauto_job *job, const char *const *vs)
{
	struct certauto__avi_port80 port80;

	certauto__avi_port80(&port80, vs);
	return 4 * (!is_disabled(vs) && !is_l4(job, vs)) + 2 * certauto__avi_vs_is_child(vs) +
		port80.is_plain;
}

struct choice {
	int score, n;
	int64_t row;
	certauto__buffer names;
};

static void choice_add(struct choice *choice, int score, int64_t row, const char *name)
{
	if (choice->n > 0 && score < choice->score)
		return;
	if (choice->n > 0 && score > choice->score) {
		choice->n = 0;
		certauto__buffer_clear(&choice->names);
	}
	choice->score = score;
	choice->row = row;
	if (choice->n < 8)
		add_quoted(&choice->names, choice->n > 0 ? ", " : "", name);
	choice->n++;
}

static certauto__verdict several(certauto_job *job, const struct choice *choice)
{
	const char *name = certauto__fact(job, "name");
	certauto_error error = {0};

	certauto__error_set(&error, CERTAUTO_EREFUSED, name,
		"%d virtual services are for %s: %s", choice->n, name,
		certauto__buffer_text(&choice->names));
	certauto__device_sign(&error, target_of(job));
	certauto__error_advise(&error,
		"set the option virtualservice to the one that answers port 80 of %s", name);
	return certauto__fail_with(job, &error);
}

/* ---- the end ---- */

static void forget(certauto_job *job)
{
	static const char *const facts[] = {".find", ".find.page", ".find.vips", ".find.rows",
		".find.l4", ".find.profiles", ".find.below"};
	size_t i;

	for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		certauto__fact_set(job, facts[i], NULL);
}

static certauto__verdict found(certauto_job *job)
{
	forget(job);
	return CERTAUTO__NEXT;
}

static void note(certauto_job *job, enum certauto__avi_place place, const char *const *vs)
{
	certauto__fact_set(job, place == CERTAUTO__AVI_DOOR ? "door" : "child",
		vs[CERTAUTO__AVI_VS_UUID]);
	certauto__avi_note(job, place, vs);
}

/* That one is for the name. */
static void note_served(certauto_job *job, const char *const *vs)
{
	certauto__fact_set(job, "vs", vs[CERTAUTO__AVI_VS_UUID]);
	certauto__fact_set(job, ".vs.name", vs[CERTAUTO__AVI_VS_NAME]);
}

static certauto__verdict take_door(certauto_job *job, const char *const *vs)
{
	int is_parent = certauto__text_equal(vs[CERTAUTO__AVI_VS_TYPE], "VS_TYPE_VH_PARENT"),
	    has_child = certauto__fact_own(job, "child") != NULL;

	note(job, CERTAUTO__AVI_DOOR, vs);
	if (!has_child || certauto__fact_own(job, ".child.evh") == NULL)
		note_served(job, vs);
	if (!is_parent || has_child || certauto__fact(job, "name") == NULL)
		return found(job);
	certauto__fact_set(job, ".find.below", "yes");
	certauto__fact_set(job, ".find.rows", NULL);
	return enter(job, certauto__avi_vs_is_evh(vs) ? STAGE_HOST : STAGE_DOMAIN);
}

static certauto__verdict take_child(certauto_job *job, const char *const *vs)
{
	char parent[CERTAUTO__AVI_UUID];

	note(job, CERTAUTO__AVI_CHILD, vs);
	certauto__fact_set(job, ".child.evh", certauto__avi_vs_is_evh(vs) ? "yes" : NULL);
	if (certauto__avi_vs_is_evh(vs))
		note_served(job, vs);
	if (is_below(job))
		return found(job);
	uuid_of(parent, vs[CERTAUTO__AVI_VS_PARENT]);
	certauto__fact_set(job, "door", parent);
	certauto__fact_set(job, ".find.rows", NULL);
	return enter(job, STAGE_PARENT);
}

static certauto__verdict take(certauto_job *job, const char *const *vs)
{
	if (is_disabled(vs))
		return unfit(job, vs, "is disabled",
			"enable it, or set the option virtualservice to another one: what is "
			"disabled answers no challenge");
	if (is_l4(job, vs))
		return unfit(job, vs,
			"is of layer 4: it does not speak HTTP, so no policy can answer a "
			"challenge there",
			"set the option virtualservice to one with an HTTP application profile "
			"that answers port 80 of that name, or use a dns-01 challenge");
	/* A parent has none itself, whatever a controller says. */
	return certauto__avi_vs_is_child(vs) && stage_of(job) != STAGE_PARENT ? take_child(job, vs)
									      : take_door(job, vs);
}

static certauto__verdict choose(certauto_job *job)
{
	struct choice choice = {.names = CERTAUTO__BUFFER(8192)};
	certauto__verdict verdict = CERTAUTO__FAILED;
	int64_t i, n = n_rows(job);
	struct row row;
	int rc = 0;

	for (i = 0; i < n && (rc = row_load(&row, job, i)) == 0; i++) {
		choice_add(&choice, score_of(job, row.vs), i, row.vs[CERTAUTO__AVI_VS_NAME]);
		row_free(&row);
	}
	if (rc == 0 && choice.n > 1)
		verdict = several(job, &choice);
	else if (rc == 0 && (rc = row_load(&row, job, choice.row)) == 0)
		verdict = take(job, row.vs);
	if (rc < 0)
		certauto__error_nomem(certauto__job_error_of(job));
	else if (choice.n == 1)
		row_free(&row);
	certauto__buffer_free(&choice.names);
	return verdict;
}

/* Whether a virtual service speaks HTTP is said by its profile. Those that all controllers have
 * need no look, nor does one that has policies already. */
static int needs_look(const char *const *vs)
{
	const char *profile = vs[CERTAUTO__AVI_VS_PROFILE],
		   *name = profile != NULL ? strchr(profile, '#') : NULL;

	return profile != NULL && vs[CERTAUTO__AVI_VS_SETS] == NULL &&
		!certauto__text_equal(name, "#System-HTTP") &&
		!certauto__text_equal(name, "#System-Secure-HTTP");
}

static certauto__verdict compare(certauto_job *job)
{
	certauto__buffer profiles = CERTAUTO__BUFFER(ROWS_MAX * CERTAUTO__AVI_UUID);
	char uuid[CERTAUTO__AVI_UUID];
	int64_t i, n = n_rows(job);
	struct row row;
	int rc = 0;

	for (i = 0; i < n && (rc = row_load(&row, job, i)) == 0; i++) {
		uuid_of(uuid, row.vs[CERTAUTO__AVI_VS_PROFILE]);
		if (needs_look(row.vs))
			certauto__buffer_printf(
				&profiles, "%s%s", profiles.len > 0 ? "," : "", uuid);
		row_free(&row);
	}
	certauto__fact_set(job, ".find.profiles", profiles.data);
	if (profiles.rc < 0)
		rc = profiles.rc;
	certauto__buffer_free(&profiles);
	if (rc < 0) {
		certauto__error_nomem(certauto__job_error_of(job));
		return CERTAUTO__FAILED;
	}
	return certauto__fact_own(job, ".find.profiles") != NULL ? enter(job, STAGE_PROFILE)
								 : choose(job);
}

/* ---- answers ---- */

struct scan {
	certauto_job *job;
	enum stage stage;
	const char *name;
	int64_t n;
};

static int list_has(const char *list, const char *name)
{
	char item[CERTAUTO__NAME_SIZE + 2];

	while (certauto__avi_item(item, sizeof(item), &list))
		if (certauto__name_match(item, name))
			return 1;
	return 0;
}

static void append(certauto_job *job, const char *fact, const char *text)
{
	const char *former = certauto__fact_own(job, fact);

	if (former == NULL)
		certauto__fact_set(job, fact, text);
	else
		certauto__fact_printf(job, fact, "%s,%s", former, text);
}

static int scan_vip(void *arg, const char *const *values)
{
	struct scan *scan = arg;
	const char *addresses = values[2];
	int is_ip = certauto__ip_check(scan->name);
	char address[64];

	if (values[0] == NULL || scan->n == VIPS_MAX ||
		!(is_ip ? list_has(values[2], scan->name) || list_has(values[3], scan->name)
			: list_has(values[1], scan->name)))
		return 0;
	scan->n++;
	append(scan->job, ".find.vips", values[0]);
	if (certauto__fact_own(scan->job, ".vs.address") == NULL &&
		certauto__avi_item(address, sizeof(address), &addresses) && address[0] != '\0')
		certauto__fact_set(scan->job, ".vs.address", address);
	return 0;
}

static int scan_profile(void *arg, const char *const *values)
{
	struct scan *scan = arg;

	if (values[0] != NULL && values[1] != NULL &&
		!certauto__text_equal(values[1], "APPLICATION_PROFILE_TYPE_HTTP"))
		append(scan->job, ".find.l4", values[0]);
	return 0;
}

static int is_of_door(const certauto_job *job, const char *const *vs)
{
	char parent[CERTAUTO__AVI_UUID];

	uuid_of(parent, vs[CERTAUTO__AVI_VS_PARENT]);
	return certauto__text_equal(parent, certauto__fact_own(job, "door"));
}

/* A filter that a controller does not know may give all there are. */
static int is_fixed(const struct scan *scan, const char *const *vs)
{
	const char *value = certauto__option_text(target_of(scan->job), "virtualservice");
	char uuid[CERTAUTO__AVI_UUID];

	return fixed_uuid(uuid, value) ? certauto__text_equal(vs[CERTAUTO__AVI_VS_UUID], uuid)
				       : certauto__text_equal(vs[CERTAUTO__AVI_VS_NAME], value);
}

static int scan_vs(void *arg, const char *const *vs)
{
	struct scan *scan = arg;
	int is_child = certauto__avi_vs_is_child(vs), is_named;

	if (vs[CERTAUTO__AVI_VS_UUID] == NULL ||
		(scan->stage == STAGE_FIXED && !is_fixed(scan, vs)))
		return 0;
	is_named = scan->stage == STAGE_FIXED || scan->stage == STAGE_PARENT ||
		list_has(vs[CERTAUTO__AVI_VS_DOMAINS], scan->name) ||
		list_has(vs[CERTAUTO__AVI_VS_HOSTS], scan->name);
	/* Some controllers list children, of other names too, with the VIP of their parent. */
	if (scan->stage == STAGE_OF_VIP ? !is_child || is_named : is_named) {
		if (!is_below(scan->job) || (is_child && is_of_door(scan->job, vs)))
			return row_keep(scan->job, vs);
	}
	return 0;
}

static int read_rows(const certauto__exchange *x, struct scan *scan, int64_t *total,
	certauto_error *err)
{
	static const char *const vip[] = {"uuid", "dns_info[].fqdn", "vip[].ip_address.addr",
		"vip[].ip6_address.addr", NULL};
	static const char *const profile[] = {"uuid", "type", NULL};

	if (scan->stage == STAGE_VIP)
		return certauto__rest_rows(x, vip, scan_vip, scan, total, err);
	if (scan->stage == STAGE_PROFILE)
		return certauto__rest_rows(x, profile, scan_profile, scan, total, err);
	if (scan->stage == STAGE_PARENT)
		return certauto__rest_object(x, certauto__avi_vs_fields, scan_vs, scan, err);
	return certauto__rest_rows(x, certauto__avi_vs_fields, scan_vs, scan, total, err);
}

/* The first of them was asked about. */
static certauto__verdict next_vip(certauto_job *job)
{
	const char *vips = certauto__fact_own(job, ".find.vips"),
		   *rest = vips != NULL ? strchr(vips, ',') : NULL;

	certauto__fact_printf(job, ".find.vips", "%s", rest != NULL ? rest + 1 : "");
	if (rest != NULL)
		return enter(job, STAGE_OF_VIP);
	return n_rows(job) > 0 ? compare(job) : enter(job, STAGE_DOMAIN);
}

/* Nothing fits at this stage. */
static certauto__verdict none(certauto_job *job, enum stage stage)
{
	const char *name = certauto__fact(job, "name");
	int has_wild = name != NULL && parent_domain(name) != NULL;

	if (is_below(job)) { /* a parent answers for whom it has no child */
		if (has_wild && (stage == STAGE_DOMAIN || stage == STAGE_HOST))
			return enter(job, stage == STAGE_DOMAIN ? STAGE_WILD_DOMAIN
								: STAGE_WILD_HOST);
		return found(job);
	}
	if (stage == STAGE_DOMAIN || stage == STAGE_WILD_DOMAIN ||
		(stage == STAGE_HOST && has_wild))
		return enter(job, stage + 1);
	return not_found(job);
}

static certauto__verdict complete(certauto_job *job, enum stage stage)
{
	if (stage == STAGE_VIP)
		return enter(job, certauto__fact_own(job, ".find.vips") != NULL ? STAGE_OF_VIP
										: STAGE_DOMAIN);
	if (stage == STAGE_OF_VIP)
		return next_vip(job);
	if (stage == STAGE_PROFILE)
		return choose(job);
	if (stage == STAGE_PARENT)
		return n_rows(job) > 0 ? choose(job) : not_found(job);
	return n_rows(job) > 0 ? compare(job) : none(job, stage);
}

certauto__verdict certauto__avi_find_read(certauto_job *job, certauto__exchange *x)
{
	struct scan scan = {job, stage_of(job), certauto__fact(job, "name"), 0};
	int64_t page = certauto__fact_number(job, ".find.page", 1), total = 0;

	/* The right to read profiles may be missing: then the controller refuses what is of layer 4
	 * when a policy is attached. */
	if (certauto__avi_status(x) / 100 != 2 && scan.stage == STAGE_PROFILE)
		return choose(job);
	/* There are fewer now than there were a page ago. */
	if (certauto__avi_status(x) == 404 && page > 1)
		return complete(job, scan.stage);
	if (certauto__avi_status(x) / 100 != 2)
		return certauto__avi_refused(job, x,
			scan.name != NULL ? scan.name : target_of(job)->label,
			"looking for the virtual service");
	if (read_rows(x, &scan, &total, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (total <= page * CERTAUTO__AVI_PAGE || page == PAGES_MAX)
		return complete(job, scan.stage);
	certauto__fact_set_number(job, ".find.page", page + 1);
	return certauto__again(job, 0);
}
