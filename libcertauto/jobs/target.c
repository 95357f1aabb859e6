/* SPDX-License-Identifier: Apache-2.0 */
/* Targets as objects: made from a row, found by type, and started as children of other jobs.
 * What their options may hold is read in target_options.c, what they do is in the rows of
 * targets/. */

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "jobs/target_options.h"

/* ---- types ---- */

static const struct certauto__target_type *types_added(const certauto_context *cx)
{
	return cx->target_types;
}

const struct certauto__target_row *certauto__target_row_at(const certauto_context *cx, size_t i)
{
	const struct certauto__target_type *type;
	size_t n;

	for (n = 0; certauto__target_rows[n] != NULL; n++) {
		if (n == i)
			return certauto__target_rows[n];
	}
	for (type = types_added(cx); type != NULL; type = type->next, n++) {
		if (n == i)
			return type->row;
	}
	return NULL;
}

const struct certauto__target_row *certauto__target_row_find(const certauto_context *cx,
	const char *type)
{
	const struct certauto__target_row *row;
	size_t i;

	for (i = 0; (row = certauto__target_row_at(cx, i)) != NULL; i++) {
		if (certauto__text_equal(row->name, type))
			return row;
	}
	return NULL;
}

static int type_unknown(const certauto_context *cx, const char *type, certauto_error *err)
{
	certauto__buffer known = CERTAUTO__BUFFER(4096), shown = CERTAUTO__BUFFER(4096);
	const struct certauto__target_row *row;
	size_t i;
	int rc;

	for (i = 0; (row = certauto__target_row_at(cx, i)) != NULL; i++)
		certauto__buffer_printf(&known, "%s%s", i == 0 ? "" : ", ", row->name);
	certauto__text_escape(&shown, type, strlen(type));
	rc = certauto__error_set(err, CERTAUTO_ENOTFOUND, NULL,
		"there is no target type \"%s\"; there are %s", certauto__buffer_text(&shown),
		certauto__buffer_text(&known));
	certauto__buffer_free(&known);
	certauto__buffer_free(&shown);
	return rc;
}

/* ---- targets ---- */

static void target_destroy(void *object)
{
	certauto_target *target = object;

	certauto__option_values_free(target->values, target->n_options);
	certauto__free(target->label);
	certauto__free(target->csr);
	if (target->outside_free != NULL)
		target->outside_free(target->outside);
}

int certauto__target_make_row(certauto_target **out, certauto_context *cx,
	const struct certauto__target_row *row, const char *label, certauto_error *err)
{
	certauto_target *target = certauto__object_new(cx, sizeof(*target), target_destroy);
	int rc;

	if (target == NULL)
		return certauto__error_nomem(err);
	target->row = row;
	if ((target->label = certauto__strdup(label != NULL ? label : row->name)) == NULL)
		rc = certauto__error_nomem(err);
	else
		rc = certauto__option_values_new(&target->values, &target->n_options, row, err);
	if (rc < 0) {
		certauto__object_unref(target);
		return rc;
	}
	*out = target;
	return 0;
}

int certauto__target_make(certauto_target **out, certauto_context *cx, const char *type,
	const char *label, certauto_error *err)
{
	const struct certauto__target_row *row = certauto__target_row_find(cx, type);
	struct certauto__target_type *added;
	int rc;

	if (row == NULL)
		return type_unknown(cx, type, err);
	if ((rc = certauto__target_make_row(out, cx, row, label, err)) < 0)
		return rc;
	for (added = cx->target_types; added != NULL; added = added->next) {
		if (added->row == row)
			added->attach(*out, added);
	}
	return 0;
}

/* One of the places it is at has no TLS: "url", "elb_url". A pin proves nothing there. */
static int is_plain(const certauto_target *target)
{
	const char *name, *url;
	size_t i, len;

	for (i = 0; i < target->n_options; i++) {
		name = target->values[i].option->name;
		len = strlen(name);
		if (len < 3 || strcmp(name + len - 3, "url") != 0)
			continue;
		url = certauto__option_text(target, name);
		if (url != NULL && certauto__text_starts(url, "http:"))
			return 1;
	}
	return 0;
}

int certauto__target_may_take_key(const certauto_target *target, certauto_error *err)
{
	int plain = is_plain(target);

	if (certauto__option_flag(target, "allow_key_over_insecure") ||
		(!plain && (!certauto__option_flag(target, "insecure") ||
		certauto__option_text(target, "pin") != NULL)))
		return 0;
	certauto__error_set(err, CERTAUTO_ETLS, target->label, plain ?
		"%s: the private key is not sent to a target without TLS" :
		"%s: the private key is not sent to a target whose certificate is not verified",
		target->label);
	return certauto__error_advise(err,
		"%sgive its CA as ca_file or its key as pin instead of insecure; or, knowing who "
		"can listen, set allow_key_over_insecure", plain ? "write https://, and " : "");
}

int certauto__target_fits(const certauto_target *target, size_t n_keys, int sends,
	certauto_error *err)
{
	int rc = certauto__target_able(target, CERTAUTO_TARGET_DEPLOY, err);

	if (rc < 0 || target->row->fits == NULL)
		return rc;
	return target->row->fits(target, n_keys, sends, err);
}

/* ---- deployments ---- */

struct certauto__deployment *certauto__deployment_new(certauto_target *target, const char *name,
	const char *key_type)
{
	struct certauto__deployment *deployment = certauto__alloc(sizeof(*deployment));

	if (deployment == NULL)
		return NULL;
	deployment->target = certauto__object_ref(target);
	deployment->n_keys = 1;
	deployment->name = certauto__strdup(name);
	deployment->key_type = certauto__strdup(key_type);
	if (deployment->name == NULL || deployment->key_type == NULL) {
		certauto__deployment_free(deployment);
		return NULL;
	}
	return deployment;
}

void certauto__deployment_free(void *arg)
{
	struct certauto__deployment *deployment = arg;

	if (deployment == NULL)
		return;
	certauto__object_unref(deployment->target);
	certauto__free(deployment->name);
	certauto__free(deployment->key_type);
	certauto__free(deployment->generation);
	if (deployment->chain_of == NULL)
		certauto__certs_free(deployment->chain);
	if (deployment->key_of == NULL)
		certauto__pkey_free(deployment->key);
	certauto__pkey_free(deployment->former_key);
	certauto_chain_free(deployment->chain_of);
	certauto_key_free(deployment->key_of);
	certauto__list_free(&deployment->names);
	certauto__list_free(&deployment->superseded);
	certauto__free(deployment);
}

const char *certauto__deployment_keyless(const certauto_target *target,
	const certauto__certs *chain)
{
	return target->row->csr != NULL && chain != NULL ? certauto__certs_info(chain, 0)->key_type
							  : "csr";
}

const char *certauto__deployment_family(const struct certauto__deployment *deployment)
{
	const struct certauto__cert_info *leaf =
		deployment->chain != NULL ? certauto__certs_info(deployment->chain, 0) : NULL;
	const char *type = leaf != NULL ? leaf->key_type : deployment->key_type;

	return certauto__text_starts(type, "rsa") ? "rsa" : "ecdsa";
}

/* ---- as children of other jobs ---- */

static int child_peer(certauto_job *job, certauto_target *target, certauto__peer **out)
{
	if (target->row->peer == NULL)
		return 0;
	return target->row->peer(target, out, certauto__job_error_of(job));
}

certauto_job *certauto__deploy_child(certauto_job *job, const char *key,
	struct certauto__deployment *deployment)
{
	const struct certauto__table *table = deployment->target->row->deploy;
	certauto__peer *peer = NULL;
	certauto_job *child;

	if (certauto__target_able(deployment->target, CERTAUTO_TARGET_DEPLOY,
		    certauto__job_error_of(job)) < 0 ||
		child_peer(job, deployment->target, &peer) < 0) {
		certauto__deployment_free(deployment);
		return NULL;
	}
	child = certauto__child_start(job, table, key, deployment, certauto__deployment_free, peer,
		peer != NULL ? CERTAUTO__CHILD_TURN : 0);
	certauto__peer_unref(peer);
	return child;
}

static void finish_free(void *arg)
{
	struct certauto__finish *finish = arg;

	certauto__object_unref(finish->target);
	certauto__free(finish->deployments);
	certauto__free(finish);
}

static struct certauto__finish *finish_new(struct certauto__deployment **deployments,
	size_t n_deployments)
{
	size_t size = n_deployments * sizeof(*deployments);
	struct certauto__finish *finish = certauto__alloc(sizeof(*finish));

	if (finish == NULL)
		return NULL;
	finish->target = certauto__object_ref(deployments[0]->target);
	finish->n_deployments = n_deployments;
	if ((finish->deployments = certauto__alloc(size)) == NULL) {
		finish_free(finish);
		return NULL;
	}
	memcpy(finish->deployments, deployments, size);
	return finish;
}

static int record_nothing(void *arg, const char *id, const void *data, size_t len,
	certauto_error *err)
{
	(void)arg, (void)id, (void)data, (void)len, (void)err;
	return 0;
}

static int forget_nothing(void *arg, const char *id, certauto_error *err)
{
	(void)arg, (void)id, (void)err;
	return 0;
}

certauto_job *certauto__finish_child(certauto_job *job, const char *key,
	struct certauto__deployment **deployments, size_t n_deployments)
{
	static const struct certauto__journal nowhere = {
		.save = record_nothing, .remove = forget_nothing};
	certauto_target *target = deployments[0]->target;
	struct certauto__start start = {
		.table = target->row->finish, .name = key, .journal = &nowhere};
	certauto_job *child;

	if (child_peer(job, target, &start.peer) < 0)
		return NULL;
	start.journal_id = target->row->finish->name;
	start.env = finish_new(deployments, n_deployments);
	start.env_free = finish_free;
	start.one_at_a_time = start.peer != NULL;
	if (start.env == NULL) {
		certauto__error_nomem(certauto__job_error_of(job));
		child = NULL;
	} else {
		child = certauto__child_start_as(job, &start);
	}
	certauto__peer_unref(start.peer);
	return child;
}

void certauto__unsaved_error(certauto_error *out, const certauto_job *child, const char *label)
{
	const certauto_error *error = certauto_job_error(child);

	certauto__error_clear(out);
	certauto__error_copy(out, error != NULL ? error : certauto__job_owed_error(child));
	if (out->code == 0)
		certauto__error_set(out, CERTAUTO_EIO, label, "not finished");
	certauto__error_prefix(
		out, "%s serves the new certificate, but it is not saved yet", label);
	certauto__error_advise(out, "the next run of certauto goes on from here");
}

static void target_env_free(void *env)
{
	certauto__object_unref(env);
}

int certauto__csr_facts(certauto_job *job, const char *name, const char *key_type,
	const certauto__list *names)
{
	certauto__buffer text = CERTAUTO__BUFFER(64 * 1024);
	size_t i;
	int rc;

	for (i = 0; name != NULL && i < names->n; i++)
		certauto__buffer_printf(&text, "%s%s", i > 0 ? "," : "", names->items[i]);
	certauto__fact_set(job, "name", name);
	certauto__fact_set(job, "key", name != NULL ? key_type : NULL);
	certauto__fact_set(job, "names", name != NULL ? certauto__buffer_text(&text) : NULL);
	rc = text.rc;
	certauto__buffer_free(&text);
	return rc < 0 ? certauto__error_nomem(certauto__job_error_of(job)) : 0;
}

certauto_job *certauto__csr_child(certauto_job *job, certauto_target *target)
{
	certauto__peer *peer = NULL;
	certauto_job *child;

	if (certauto__target_able(target, CERTAUTO_TARGET_CSR, certauto__job_error_of(job)) < 0 ||
	    child_peer(job, target, &peer) < 0)
		return NULL;
	child = certauto__child_start(job, target->row->csr, "csr", certauto__object_ref(target),
		target_env_free, peer, peer != NULL ? CERTAUTO__CHILD_TURN : 0);
	certauto__peer_unref(peer);
	return child;
}

/* A CA would put into the certificate what the device has put into the request, no more. */
static int check_request(const certauto_target *target, const certauto__req *req,
	const certauto__list *names, certauto_error *err)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		if (!certauto__list_has(certauto__req_names(req), names->items[i]))
			return certauto__error_set(err, CERTAUTO_EPROTO, target->label,
				"%s: the request it has made lacks the name %s", target->label,
				names->items[i]);
	return 0;
}

int certauto__csr_take(certauto_job *job, const certauto_target *target,
	const certauto__list *names, certauto__buffer *out, certauto_error *err)
{
	const certauto_job *child = certauto__child(job, target->row->csr, 0);
	const char *pem = child != NULL ? certauto__fact_own(child, "csr") : NULL;
	certauto__req *req = NULL;
	int rc;

	if (pem == NULL)
		return certauto__error_set(err, CERTAUTO_EPROTO, target->label,
			"%s: it has made no request", target->label);
	if ((rc = certauto__req_parse(&req, pem, strlen(pem), err)) < 0)
		certauto__error_prefix(err, "%s: the request it has made", target->label);
	else if ((rc = check_request(target, req, names, err)) == 0 &&
		 certauto__req_format(out, req) < 0)
		rc = certauto__error_nomem(err);
	certauto__req_free(req);
	return rc;
}

/* For one name there is one place for a certificate of tls-alpn-01 (RFC 8737), whatever orders it
 * is for: they take turns at it. Where a target has a session, its own peer stays. */
static int place_peer(certauto_job *job, const certauto_target *target, certauto__peer **peer)
{
	static const struct certauto__peer_ops place_ops = {.kind = "place"};
	const char *challenge = certauto__fact(job, "challenge"),
		   *record = certauto__fact(job, "record");
	certauto__buffer key = CERTAUTO__BUFFER(16 * 1024);
	certauto__peer *place = NULL;
	int made, rc = 0;

	if (!certauto__text_equal(challenge, "tls-alpn-01") || record == NULL ||
	    (*peer != NULL && ((*peer)->ops->dress != NULL || (*peer)->ops->judge != NULL)))
		return 0;
	certauto__buffer_printf(
		&key, "%s %s", *peer != NULL ? (*peer)->key : target->label, record);
	if ((rc = key.rc) == 0)
		rc = certauto__peer_get(&place, target->object.cx, &place_ops,
			certauto__buffer_text(&key), 1, &made);
	certauto__buffer_free(&key);
	if (rc < 0)
		return certauto__error_set(certauto__job_error_of(job), rc, target->label, "%s",
			certauto_error_text(rc));
	certauto__peer_unref(*peer);
	*peer = place;
	return 1;
}

certauto_job *certauto__present_child(certauto_job *job, const char *key, certauto_target *target)
{
	certauto__peer *peer = NULL;
	certauto_job *child;
	int turns;

	if (target->row->present == NULL) {
		certauto__fail(job, CERTAUTO_EUNSUPPORTED, target->label,
			"%s: a target of type \"%s\" answers no challenges", target->label,
			target->row->name);
		return NULL;
	}
	if (child_peer(job, target, &peer) < 0)
		return NULL;
	if ((turns = place_peer(job, target, &peer)) < 0) {
		certauto__peer_unref(peer);
		return NULL;
	}
	child = certauto__child_start(job, target->row->present, key, certauto__object_ref(target),
		target_env_free, peer,
		CERTAUTO__CHILD_HELD | (turns ? CERTAUTO__CHILD_TURN : 0));
	certauto__peer_unref(peer);
	return child;
}

/* ---- addresses ---- */

static int address_port_valid(const char *text)
{
	int64_t port;

	return certauto__number_parse(text, 1, 65535, &port) == 0;
}

static int address_host_valid(const char *host, size_t len)
{
	char copy[256];
	const char *why;
	int is_ipv6;

	if (len == 0 || len >= sizeof(copy))
		return 0;
	is_ipv6 = host[0] == '[' && host[len - 1] == ']';
	memcpy(copy, is_ipv6 ? host + 1 : host, is_ipv6 ? len - 2 : len);
	copy[is_ipv6 ? len - 2 : len] = '\0';
	if (is_ipv6)
		return certauto__ip_check(copy);
	if (strchr(copy, ':') != NULL)
		return 0;
	/* "localhost" and other names of one label are fine here. */
	return certauto__ip_check(copy) || certauto__dns_name_check(copy, &why) == 0 ||
		strspn(copy, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
		strlen(copy);
}

int certauto__address_format(char *out, const char *text, int default_port)
{
	const char *colon = strrchr(text, ':');
	size_t host_len = strlen(text);

	if (colon != NULL && colon[1] != '\0' && strchr(colon, ']') == NULL) {
		if (!address_port_valid(colon + 1))
			return CERTAUTO_EINVAL;
		host_len = (size_t)(colon - text);
	}
	if (!address_host_valid(text, host_len))
		return CERTAUTO_EINVAL;
	if (text[host_len] == '\0')
		snprintf(out, CERTAUTO__ADDRESS, "%s:%d", text, default_port);
	else
		snprintf(out, CERTAUTO__ADDRESS, "%s", text);
	return 0;
}

int certauto__address_is_ip(const char *address)
{
	char host[CERTAUTO__ADDRESS];
	const char *colon = strrchr(address, ':');

	if (address[0] == '[')
		return 1; /* nothing else was let through with these */
	snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	return certauto__ip_check(host);
}
