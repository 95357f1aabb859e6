/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks a cloud: a token that IAM gives, which all jobs with equal user, account and project
 * share, or a signature for each attempt. A session is opened by one silent job for all comers, who
 * are parked until it has ended. A refused login is not tried again in a run: accounts get locked
 * for that. Where the services are, the token's catalog tells. */

#include "targets/fe.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <certauto/error.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/secret.h"
#include "json/reader.h"
#include "targets/device.h"
#include "targets/fe_dns.h"
#include "targets/gate.h"

#define WIDTH 8             /* requests at a time */
#define VAIN_MAX 2          /* tokens in a row that no call came through with */
#define AHEAD_S 600         /* so long before its end a token is renewed */
#define RETRY_SHORT_S 5     /* told by Retry-After: waited for here */
#define N_SERVICES 4
#define TYPE_MAX 32
#define PROVIDER "prod-cloud-ocb.orange-business.com"

struct session {
	certauto__peer *peer;          /* borrowed: it owns this */
	certauto_target *target;       /* shared (+1): account, endpoints, TLS */
	char *urls[N_SERVICES];        /* as the catalog tells; NULL */
	char project[CERTAUTO__FE_ID];
	certauto__secret *token;       /* NULL: there is none */
	certauto__secret *secret_key;  /* NULL: with tokens */
	int64_t renew_at;              /* monotonic ms; 0: not known */
	struct certauto__gate gate;
	struct certauto__fe_dns dns;
};

static const struct certauto__table open_table;

static struct session *session_of(const certauto_job *job)
{
	return certauto__job_peer(job)->state;
}

static int is_own(const certauto_job *job)
{
	return certauto__job_table(job) == &open_table;
}

static void session_drop(struct session *session)
{
	certauto__secret_free(session->token);
	session->token = NULL;
	session->gate.ready = 0;
}

static void session_refuse(struct session *session, const certauto_error *error)
{
	session_drop(session);
	certauto__gate_refuse(&session->gate, error);
}

/* ---- where services are ---- */

static const struct service {
	const char *option;
	const char *host;     /* of the provider's; it has the region in it */
	const char *type;     /* in a catalog */
	const char *other;    /* the same, if there is none of that type */
	const char *path;     /* what its paths begin with, and %s the project */
} services[N_SERVICES] = {
	[CERTAUTO__FE_IAM] = {"iam_url", "iam", "", "", "/v3"},
	[CERTAUTO__FE_DNS] = {"dns_url", "dns", "dns", "", "/v2"},
	[CERTAUTO__FE_ELB] = {"elb_url", "elb", "elbv3", "elb", "/v3/%s/elb"},
	[CERTAUTO__FE_ELB_V2] = {"elb_v2_url", "vpc", "network", "vpc2.0", "/v2.0/lbaas"},
};

/* Catalogs have paths behind the host, with a version and the project. */
static size_t base_len(const char *url)
{
	const char *at = strstr(url, "//");
	size_t len;

	while ((at = at != NULL ? strchr(at + 2, '/') : NULL) != NULL) {
		if (at[1] == 'v' && at[2] >= '0' && at[2] <= '9')
			break;
		at--;
	}
	len = at != NULL ? (size_t)(at - url) : strlen(url);
	while (len > 0 && url[len - 1] == '/')
		len--;
	return len;
}

/* Where the host of a URL is at home: its last two labels; an address is all of it. */
static size_t home_of(const char **home, const char *url)
{
	const char *slashes = strstr(url, "//"), *host = slashes != NULL ? slashes + 2 : url;
	size_t len = strcspn(host, *host == '[' ? "]" : ":/?#"), at = len, dots = 0;

	while (at > 0 && (host[at - 1] != '.' || ++dots < 2))
		at--;
	if (*host == '[' || (len > 0 && host[len - 1] >= '0' && host[len - 1] <= '9'))
		at = 0;
	*home = host + at;
	return len - at;
}

static int is_neighbour(const char *url, const char *other)
{
	const char *home, *other_home;
	size_t len = home_of(&home, url);

	return home_of(&other_home, other) == len && strncasecmp(home, other_home, len) == 0;
}

/* The region of another cloud may be called the same here: nothing goes to this one then. */
int certauto__fe_is_elsewhere(const certauto_target *target)
{
	const char *url;
	size_t i;

	for (i = 0; i < N_SERVICES; i++) {
		url = certauto__option_text(target, services[i].option);
		if (url != NULL && !is_neighbour(url, "https://" PROVIDER))
			return 1;
	}
	return 0;
}

static void base_add(certauto__buffer *out, const struct session *session,
	enum certauto__fe_service which)
{
	const struct service *service = &services[which];
	const char *region = certauto__option_text(session->target, "region"),
		*url = certauto__option_text(session->target, service->option);

	if (certauto__fe_is_elsewhere(session->target))
		region = NULL;
	if (url == NULL)
		url = session->urls[which];
	if (url == NULL && which == CERTAUTO__FE_ELB_V2)
		url = certauto__option_text(session->target, "elb_url");
	if (url != NULL)
		certauto__buffer_add(out, url, base_len(url));
	else if (which == CERTAUTO__FE_DNS && region != NULL) /* one for all regions */
		certauto__buffer_text_add(out, "https://dns." PROVIDER);
	else if (region != NULL)
		certauto__buffer_printf(out, "https://%s.%s." PROVIDER, service->host, region);
}

/* What was asked for is kept beside the URL: where the services are is known for sure only when the
 * session is open. */
static int url_make(const struct session *session, certauto__exchange *x)
{
	const char *asked = certauto__buffer_text(x->scratch);
	enum certauto__fe_service which = (enum certauto__fe_service)(asked[0] - '0');

	certauto__buffer_clear(&x->url);
	base_add(&x->url, session, which);
	if (x->url.len == 0)
		return 0;
	certauto__buffer_printf(&x->url, services[which].path, session->project);
	certauto__buffer_text_add(&x->url, asked + 1);
	x->http = certauto__text_starts(certauto__buffer_text(&x->url), "http:")
		? CERTAUTO__HTTP_PLAIN : CERTAUTO__HTTP_API;
	return 1;
}

certauto__verdict certauto__fe_call(certauto_job *job, certauto__exchange *x,
	enum certauto__fe_service service, const char *method, const char *path, const char *query)
{
	const struct session *session = session_of(job);
	const certauto_target *target = session->target;
	certauto__verdict verdict = certauto__ask_http(x, method, "");

	x->ca_file = certauto__option_text(target, "ca_file");
	x->pin = certauto__option_text(target, "pin");
	x->insecure = certauto__option_flag(target, "insecure");
	x->timeout_ms = certauto__option_number(target, "timeout_ms");
	x->max_answer = CERTAUTO__HTTP_DEVICE_MAX;
	if ((x->scratch = certauto__alloc(sizeof(*x->scratch))) == NULL) {
		x->body.rc = CERTAUTO_ENOMEM; /* stops the sending */
		return verdict;
	}
	certauto__buffer_init(x->scratch, CERTAUTO__HTTP_URL_MAX);
	if (certauto__buffer_printf(x->scratch, "%d%s%s%s", (int)service, path,
		    query != NULL && *query != '\0' ? "?" : "", query != NULL ? query : "") < 0)
		x->body.rc = x->scratch->rc;
	else
		(void)url_make(session, x);
	return verdict;
}

/* ---- the token ---- */

/* Its account, user and password, and the project it is to be for. */
static void put_login(certauto__json *w, const certauto_target *target)
{
	certauto__json_key(w, "identity");
	certauto__json_object(w);
	certauto__json_key(w, "methods");
	certauto__json_raw(w, "[\"password\"]");
	certauto__json_key(w, "password");
	certauto__json_object(w);
	certauto__json_key(w, "user");
	certauto__json_object(w);
	certauto__json_put_text(w, "name", certauto__option_text(target, "user"));
	certauto__json_put_text(w, "password", certauto__option_text(target, "password"));
	certauto__json_key(w, "domain");
	certauto__json_object(w);
	certauto__json_put_text(w, "name", certauto__option_text(target, "domain_name"));
	certauto__json_object_end(w);
	certauto__json_object_end(w);
	certauto__json_object_end(w);
	certauto__json_object_end(w);
}

static const char *project_name(const certauto_target *target)
{
	const char *name = certauto__option_text(target, "project");

	return name != NULL ? name : certauto__option_text(target, "region");
}

static void put_scope(certauto__json *w, const certauto_target *target)
{
	const char *id = certauto__option_text(target, "project_id");

	certauto__json_key(w, "scope");
	certauto__json_object(w);
	certauto__json_key(w, "project");
	certauto__json_object(w);
	certauto__json_put_text(w, id != NULL ? "id" : "name",
		id != NULL ? id : project_name(target));
	if (id == NULL) { /* names are unique in an account only */
		certauto__json_key(w, "domain");
		certauto__json_object(w);
		certauto__json_put_text(w, "name", certauto__option_text(target, "domain_name"));
		certauto__json_object_end(w);
	}
	certauto__json_object_end(w);
	certauto__json_object_end(w);
}

static certauto__verdict login_ask(certauto_job *job, certauto__exchange *x)
{
	const struct session *session = session_of(job);
	certauto__json w;

	if (session->secret_key != NULL)
		return CERTAUTO__NEXT;
	certauto__fe_body(&w, x);
	certauto__json_object(&w);
	certauto__json_key(&w, "auth");
	certauto__json_object(&w);
	put_login(&w, session->target);
	put_scope(&w, session->target);
	certauto__json_object_end(&w);
	certauto__json_object_end(&w);
	return certauto__fe_call(job, x, CERTAUTO__FE_IAM, "POST", "/auth/tokens", NULL);
}

/* What a token's description says. Of a catalog's entry and endpoint what came so far. */
struct described {
	struct session *session;
	const certauto__buffer *login_url;
	int64_t issued_at, expires_at;
	char type[TYPE_MAX], interface[TYPE_MAX], region[TYPE_MAX], other_region[TYPE_MAX];
	char url[CERTAUTO__HTTP_URL_MAX], best[CERTAUTO__HTTP_URL_MAX];
	char elsewhere[TYPE_MAX];      /* a region that there is instead of ours */
	int is_here;                   /* something is in ours */
};

static int is_public_here(const struct described *described)
{
	const char *region = certauto__option_text(described->session->target, "region");

	if (strcmp(described->interface, "public") != 0 || described->best[0] != '\0')
		return 0;
	return region == NULL || strcmp(described->region, region) == 0 ||
		strcmp(described->other_region, region) == 0 ||
		(described->region[0] == '\0' && described->other_region[0] == '\0') ||
		strcmp(described->region, "*") == 0;
}

static void endpoint_end(struct described *described)
{
	if (is_public_here(described)) {
		memcpy(described->best, described->url, sizeof(described->best));
		described->is_here = 1;
	} else if (described->region[0] != '\0') {
		memcpy(described->elsewhere, described->region, sizeof(described->elsewhere));
	}
	described->interface[0] = described->region[0] = described->other_region[0] = '\0';
	described->url[0] = '\0';
}

/* Token and key go where the catalog says: not away from where IAM is at home, and not without TLS,
 * unless IAM is asked without, too. */
static int is_trusted(const certauto__buffer *login_url, const char *url)
{
	const char *iam = certauto__buffer_text(login_url);
	int is_plain = certauto__text_starts(iam, "http:");

	return certauto__url_check_configured(url, is_plain, NULL) == 0 && is_neighbour(iam, url);
}

static int entry_end(struct described *described)
{
	struct session *session = described->session;
	int is_best;
	size_t i;
	int rc = 0;

	for (i = 0; i < N_SERVICES && described->best[0] != '\0'; i++) {
		is_best = strcmp(described->type, services[i].type) == 0;
		if (described->type[0] == '\0' || (!is_best && (session->urls[i] != NULL ||
			strcmp(described->type, services[i].other) != 0)) ||
			!is_trusted(described->login_url, described->best))
			continue;
		certauto__free(session->urls[i]);
		if ((session->urls[i] = certauto__strdup(described->best)) == NULL)
			rc = CERTAUTO_ENOMEM;
	}
	described->type[0] = described->best[0] = '\0';
	return rc;
}

static void take(char *out, size_t size, const certauto__json_value *value)
{
	if (value->type == CERTAUTO__JSON_STRING && value->len < size)
		memcpy(out, value->text, value->len + 1);
}

/* It becomes part of paths, and a header. */
static void project_take(struct session *session, const char *id)
{
	size_t len = strlen(id);

	if (len < CERTAUTO__FE_ID && id[strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ-_")] == '\0')
		memcpy(session->project, id, len + 1);
}

static int described_cb(void *arg, const certauto__json_value *value)
{
	struct described *described = arg;

	if (value->type == CERTAUTO__JSON_OBJECT_END) {
		if (certauto__json_is(value, "token.catalog[].endpoints[]"))
			endpoint_end(described);
		return certauto__json_is(value, "token.catalog[]") ? entry_end(described) : 0;
	}
	if (value->type != CERTAUTO__JSON_STRING)
		return 0;
	if (certauto__json_is(value, "token.catalog[].type"))
		take(described->type, TYPE_MAX, value);
	else if (certauto__json_is(value, "token.catalog[].endpoints[].interface"))
		take(described->interface, TYPE_MAX, value);
	else if (certauto__json_is(value, "token.catalog[].endpoints[].region"))
		take(described->region, TYPE_MAX, value);
	else if (certauto__json_is(value, "token.catalog[].endpoints[].region_id"))
		take(described->other_region, TYPE_MAX, value);
	else if (certauto__json_is(value, "token.catalog[].endpoints[].url"))
		take(described->url, sizeof(described->url), value);
	else if (certauto__json_is(value, "token.project.id"))
		project_take(described->session, value->text);
	else if (certauto__json_is(value, "token.issued_at"))
		described->issued_at = certauto__clock_parse_rfc3339(value->text);
	else if (certauto__json_is(value, "token.expires_at"))
		described->expires_at = certauto__clock_parse_rfc3339(value->text);
	return 0;
}

/* By the cloud's own clock: ours may be wrong. */
static void life_settle(const struct described *described)
{
	struct session *session = described->session;
	int64_t life_s = described->expires_at - described->issued_at;

	session->renew_at = 0;
	if (described->issued_at <= 0 || described->expires_at <= 0 || life_s <= 0)
		return;
	life_s -= life_s > 2 * AHEAD_S ? AHEAD_S : life_s / 2;
	session->renew_at = certauto__clock_ms() + life_s * 1000;
}

/* What would end a header cannot be part of one. */
static int take_token(struct session *session, const certauto__exchange *x, certauto_error *err)
{
	const char *text = certauto__transfer_header(x->transfer, "X-Subject-Token", 0);
	size_t i, len = text != NULL ? strlen(text) : 0;

	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f)
			len = 0;
	session_drop(session);
	if (len == 0)
		return certauto__error_set(err, CERTAUTO_EPROTO, session->target->label,
			"the answer to the login has no token in its headers");
	return certauto__secret_new(&session->token, text, len) < 0 ? certauto__error_nomem(err)
								    : 0;
}

/* One that was written wrongly would be a host name that does not exist, or is somebody else's. */
static int check_region(const struct described *described, certauto_error *err)
{
	const certauto_target *target = described->session->target;
	const char *region = certauto__option_text(target, "region");

	if (described->is_here || described->elsewhere[0] == '\0' ||
		certauto__option_text(target, "dns_url") != NULL)
		return 0;
	certauto__error_set(err, CERTAUTO_ENOTFOUND, region,
		"the account has no services in the region %s, but in %s", region,
		described->elsewhere);
	return certauto__error_advise(err, "set region, or dns_url and elb_url");
}

static int login_take(struct session *session, const certauto__exchange *x, certauto_error *err)
{
	struct described *described = certauto__alloc(sizeof(*described));
	const char *text;
	size_t len;
	int rc;

	if (described == NULL)
		return certauto__error_nomem(err);
	described->session = session;
	described->login_url = &x->url;
	text = certauto__exchange_answer(x, &len);
	if ((rc = take_token(session, x, err)) == 0 && len > 0)
		rc = certauto__json_read("the answer to the login", text, len,
			&certauto__json_limits_device, described_cb, described, err);
	if (rc == 0)
		rc = check_region(described, err);
	life_settle(described);
	if (rc == 0 && session->project[0] == '\0' &&
		certauto__option_text(session->target, "project_id") == NULL)
		rc = certauto__error_set(err, CERTAUTO_EPROTO, session->target->label,
			"the answer to the login does not tell the id of the project");
	certauto__free(described);
	return rc < 0 ? certauto__device_sign(err, session->target) : 0;
}

/* A refusal that would be the same a second time. */
static certauto__verdict open_refused(certauto_job *job, const certauto__exchange *x,
	const char *doing)
{
	struct session *session = session_of(job);
	certauto_error error = {0};

	certauto__fe_tell(&error, x, session->target, session->target->label, doing);
	if (x->rc == 0 && x->status < 500 && x->status != 429)
		session_refuse(session, &error);
	return certauto__fail_with(job, &error);
}

static certauto__verdict login_read(certauto_job *job, certauto__exchange *x)
{
	if (x->rc < 0 || x->status >= 300)
		return open_refused(job, x, "logging in");
	return login_take(session_of(job), x, certauto__job_error_of(job)) < 0 ? CERTAUTO__FAILED
									       : CERTAUTO__NEXT;
}

/* ---- the project of an access key ---- */

static certauto__verdict project_ask(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	const char *id = certauto__option_text(session->target, "project_id");
	certauto__buffer query = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;

	if (id != NULL)
		memcpy(session->project, id, strlen(id) + 1);
	if (id != NULL || session->secret_key == NULL)
		return CERTAUTO__NEXT;
	certauto__fe_arg(&query, "name", project_name(session->target));
	verdict = certauto__fe_call(job, x, CERTAUTO__FE_IAM, "GET", "/projects",
		certauto__buffer_text(&query));
	certauto__buffer_free(&query);
	return verdict;
}

static int project_row(void *arg, const char *const *values)
{
	struct session *session = arg;

	if (certauto__text_equal(values[1], project_name(session->target)) && values[0] != NULL)
		project_take(session, values[0]);
	return 0;
}

static certauto__verdict project_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"id", "name", NULL};
	struct session *session = session_of(job);
	const char *name = project_name(session->target);
	char marker[CERTAUTO__FE_ID];
	certauto_error error = {0};

	if (x->rc < 0 || x->status >= 300)
		return open_refused(job, x, "asking for the project");
	session->project[0] = '\0';
	if (certauto__fe_rows(x, "projects", fields, project_row, session, marker,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (session->project[0] != '\0')
		return CERTAUTO__NEXT;
	certauto__error_set(&error, CERTAUTO_ENOTFOUND, name,
		"the access key's account has no project \"%s\"", name);
	certauto__device_sign(&error, session->target);
	certauto__error_advise(&error, "set project_id, as the console shows it under My "
		"Credentials");
	session_refuse(session, &error);
	return certauto__fail_with(job, &error);
}

/* ---- opening ---- */

static const struct certauto__step open_steps[] = {
	{.name = "login", .ask = login_ask, .read = login_read, .flags = CERTAUTO__ERRORS},
	{.name = "project",
		.ask = project_ask,
		.read = project_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
};

static const struct certauto__table open_table = {
	.name = "fe-open",
	.steps = open_steps,
	.n_steps = sizeof(open_steps) / sizeof(open_steps[0]),
};

int certauto__fe_service(const certauto_job *job, const struct certauto__table *table, void *env,
	void (*ended)(certauto_job *job, void *arg), certauto_error *err)
{
	const struct session *session = session_of(job);
	struct certauto__start start = {.table = table,
		.name = session->target->label,
		.env = env,
		.peer = session->peer,
		.silent = 1,
		.ended = ended,
		.ended_arg = env};

	return certauto__job_start(NULL, session->target->object.cx, &start, err);
}

static certauto__verdict session_need(certauto_job *job, struct session *session)
{
	struct certauto__start start = {.table = &open_table,
		.name = session->target->label,
		.env = session,
		.peer = session->peer};

	return certauto__gate_need(job, &session->gate, &start);
}

/* ---- each call ---- */

/* As libcurl sends it: without the port that the scheme has anyway. */
static size_t host_of(const char **host, const char *url)
{
	const char *port = certauto__text_starts(url, "http:") ? ":80" : ":443";
	size_t len, port_len = strlen(port);

	*host = strstr(url, "//") + 2;
	len = strcspn(*host, "/?");
	if (len > port_len && strncmp(*host + len - port_len, port, port_len) == 0)
		len -= port_len;
	return len;
}

/* "20191115T033655Z" */
static void sdk_date(char out[32])
{
	char stamp[32], *at = stamp;

	certauto__clock_format(stamp, sizeof(stamp), certauto__clock_now());
	for (; *at != '\0'; at++)
		if (*at != '-' && *at != ':')
			*out++ = *at;
	*out = '\0';
}

static int sign_url(const struct session *session, certauto__exchange *x, const char *date,
	certauto__buffer *out)
{
	const char *url = certauto__buffer_text(&x->url), *host;
	size_t host_len = host_of(&host, url);
	const char *path = host + strcspn(host, "/?"), *query = strchr(path, '?');
	certauto__buffer parts = CERTAUTO__BUFFER(2 * CERTAUTO__HTTP_URL_MAX);
	struct certauto__fe_request request = {.method = x->method,
		.date = date,
		.headers = &x->headers,
		.query = query != NULL ? query + 1 : NULL,
		.body = x->body.data,
		.body_len = x->body.len};
	int rc;

	certauto__buffer_add(&parts, host, host_len);
	certauto__buffer_add(&parts, "", 1);
	rc = certauto__buffer_add(&parts, path, strcspn(path, "?"));
	if (rc == 0) {
		request.host = parts.data;
		request.path = parts.data + host_len + 1;
		rc = certauto__fe_sign(out, &request,
			certauto__option_text(session->target, "access_key"), session->secret_key,
			NULL);
	}
	certauto__buffer_free(&parts);
	return rc;
}

static void signature_send(const struct session *session, certauto__exchange *x, int is_iam)
{
	const char *token = certauto__option_text(session->target, "security_token");
	certauto__buffer text = CERTAUTO__BUFFER(4096);
	char date[32];
	int rc;

	text.secret = 1;
	sdk_date(date);
	if (!is_iam)
		certauto__exchange_add_header(x, "X-Project-Id: %s", session->project);
	if (token != NULL)
		certauto__exchange_add_header(x, "X-Security-Token: %s", token);
	if ((rc = sign_url(session, x, date, &text)) < 0) {
		x->body.rc = rc; /* stops the sending */
	} else {
		certauto__exchange_add_header(x, "X-Sdk-Date: %s", date);
		certauto__exchange_add_header(x, "Authorization: %s", certauto__buffer_text(&text));
	}
	certauto__buffer_free(&text);
}

static certauto__verdict nowhere(certauto_job *job, const struct session *session,
	const certauto__exchange *x)
{
	const struct service *service = &services[certauto__buffer_text(x->scratch)[0] - '0'];
	certauto_error error = {0};

	certauto__error_set(&error, CERTAUTO_EINVAL, service->option,
		"IAM does not tell where its service \"%s\" is, or tells a host of another domain "
		"than its own, or one without TLS",
		service->type);
	certauto__device_sign(&error, session->target);
	certauto__error_advise(&error, "set %s", service->option);
	return certauto__fail_with(job, &error);
}

static int is_over(const struct session *session)
{
	return session->renew_at != 0 && certauto__clock_ms() >= session->renew_at;
}

static certauto__verdict session_dress(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	int own = is_own(job);

	if (!own)
		certauto__gate_warn(job, &session->gate, session->target);
	if (!own && session->gate.ready && is_over(session))
		session_drop(session);
	if (!own && !session->gate.ready)
		return session_need(job, session);
	if (x->scratch == NULL || x->scratch->len == 0) /* short of memory: it tells by itself */
		return CERTAUTO__SEND;
	if (!url_make(session, x))
		return nowhere(job, session, x);
	certauto__device_headers_clear(x); /* of an earlier attempt */
	certauto__exchange_add_header(x, "Content-Type: application/json");
	x->dress_arg = (const void *)session->gate.serial;
	if (x->url.rc == 0 && session->secret_key != NULL)
		signature_send(session, x, certauto__buffer_text(x->scratch)[0] == '0');
	else if (!own)
		certauto__exchange_add_header(x, "X-Auth-Token: %s",
			certauto__secret_text(session->token));
	return CERTAUTO__SEND;
}

/* Who asks is not known any more, or never was: a cloud that takes none of its own tokens is not
 * asked for a third, and what was signed wrongly will be so again. */
static certauto__judgement judge_over(struct session *session, const certauto__exchange *x)
{
	if (certauto__gate_is_former(&session->gate, (uintptr_t)x->dress_arg))
		return session->gate.refused.code != 0 ? CERTAUTO__BAD : CERTAUTO__NOW;
	if (certauto__gate_vain(&session->gate) >= VAIN_MAX || session->secret_key != NULL) {
		session_refuse(session, &x->error);
		return CERTAUTO__BAD;
	}
	session_drop(session);
	return CERTAUTO__RELOGIN;
}

static certauto__judgement judge_no(certauto_job *job, certauto__exchange *x,
	certauto__judgement judgement)
{
	struct session *session = session_of(job);
	certauto__buffer doing = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 16);

	if (judgement == CERTAUTO__LATER &&
		certauto__transfer_retry_after(x->transfer) > RETRY_SHORT_S)
		return judgement;
	certauto__buffer_printf(&doing, "%s %s", x->method, certauto__buffer_text(&x->url));
	certauto__fe_tell(&x->error, x, session->target, certauto__buffer_text(&x->url),
		certauto__buffer_text(&doing));
	certauto__buffer_free(&doing);
	if (x->error.code == CERTAUTO_EAUTH && !is_own(job))
		return judge_over(session, x);
	return x->status >= 500 || certauto__fe_is_throttled(x) ? CERTAUTO__SOON : CERTAUTO__BAD;
}

static certauto__judgement session_judge(certauto_job *job, certauto__exchange *x)
{
	certauto__judgement judgement = certauto__judge_http(job, x);

	if (x->rc < 0) {
		certauto__device_silence(job, x, session_of(job)->target);
		return judgement;
	}
	if (judgement != CERTAUTO__OK)
		return judge_no(job, x, judgement);
	if (!is_own(job))
		session_of(job)->gate.proved = 1;
	return CERTAUTO__OK;
}

/* ---- the peer ---- */

/* The next run may try again, and looks anew; a token is good for all of its time. */
static const struct certauto__table *session_farewell(certauto__peer *peer)
{
	struct session *session = peer->state;

	certauto__gate_forget(&session->gate);
	certauto__fe_zones_forget(&session->dns);
	certauto__fe_records_forget(&session->dns);
	return NULL;
}

static void session_free(struct session *session)
{
	size_t i;

	if (session == NULL)
		return;
	session_drop(session);
	certauto__secret_free(session->secret_key);
	for (i = 0; i < N_SERVICES; i++)
		certauto__free(session->urls[i]);
	certauto__fe_zones_forget(&session->dns);
	certauto__fe_records_free(&session->dns);
	certauto__gate_forget(&session->gate);
	certauto__object_unref(session->target);
	certauto__free(session);
}

static void session_destroy(certauto__peer *peer)
{
	session_free(peer->state);
	peer->state = NULL;
}

static const struct certauto__peer_ops session_ops = {
	.kind = "flexibleengine",
	.dress = session_dress,
	.judge = session_judge,
	.destroy = session_destroy,
	.farewell = session_farewell,
};

static int session_new(struct session **out, certauto_target *target, certauto_error *err)
{
	const char *key = certauto__option_text(target, "secret_key");
	struct session *session = certauto__alloc(sizeof(*session));

	if (session == NULL)
		return certauto__error_nomem(err);
	if (key != NULL && certauto__secret_new(&session->secret_key, key, strlen(key)) < 0) {
		certauto__free(session);
		return certauto__error_nomem(err);
	}
	session->target = certauto__object_ref(target);
	*out = session;
	return 0;
}

int certauto__fe_peer(certauto_target *target, certauto__peer **out, certauto_error *err)
{
	static const char *const names[] = {"region", "domain_name", "user", "password",
		"access_key", "secret_key", "security_token", "project_id", "project", "iam_url",
		"dns_url", "elb_url", "elb_v2_url", "zone_id", "ca_file", "pin", "insecure", NULL};
	struct session *session = NULL;
	certauto__peer *peer = NULL;
	int rc;

	if ((rc = session_new(&session, target, err)) == 0 &&
		(rc = certauto__device_peer(&peer, target, &session_ops, names, WIDTH, err)) == 0) {
		if (peer->state == NULL) {
			session->peer = peer;
			peer->state = session;
			session = NULL;
		}
		*out = peer;
	}
	session_free(session);
	return rc;
}

/* ---- for the steps of others ---- */

struct certauto__fe_dns *certauto__fe_dns(const certauto_job *job)
{
	return &session_of(job)->dns;
}

const certauto_target *certauto__fe_target(const certauto_job *job)
{
	const struct certauto__table *table = certauto__job_table(job);
	const void *env = certauto__job_env(job);

	if (table == &certauto__fe_present || table == &certauto__fe_test)
		return env;
	if (table == &certauto__fe_deploy)
		return ((const struct certauto__deployment *)env)->target;
	return session_of(job)->target; /* a job of the session itself */
}
