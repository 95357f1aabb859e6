/* SPDX-License-Identifier: Apache-2.0 */
/* Where an NSX cluster presents certificates: which managers there are, at which addresses, what
 * the virtual IP is, and what each of them presents now. */

#include "targets/nsx_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/clock.h"

#define LOOK_MS 10000
#define LATER_MS 50 /* doubled each time */
#define LATER_MAX_MS 2000
#define ENDPOINTS_MAX 64 /* of all runs since the last that got to its end */
#define SHOWN 12 /* hex digits of a fingerprint: enough to compare by eye */

static const char *service_of(const certauto_job *job)
{
	return certauto__option_text(certauto__nsx_target(job), "service");
}

static int has_nodes(const certauto_job *job)
{
	return strcmp(service_of(job), "cluster") != 0;
}

static int has_vip(const certauto_job *job)
{
	return strcmp(service_of(job), "node") != 0;
}

int certauto__nsx_endpoints(certauto_job *job)
{
	return (int)certauto__fact_number(job, "n", 0);
}

int certauto__nsx_is_vip(const certauto_job *job, int i)
{
	return certauto__text_equal(certauto__fact_nth(job, "node", i), "vip");
}

int certauto__nsx_is_out(const certauto_job *job, int i)
{
	return certauto__fact_nth(job, ".out", i) != NULL;
}

/* ---- what an endpoint presents ---- */

/* By its own address: no name is sent, as managers have one certificate for all of them. */
certauto__verdict certauto__nsx_look(certauto_job *job, certauto__exchange *x, const char *at)
{
	int64_t patience = certauto__option_number(certauto__nsx_target(job), "timeout_ms");
	const char *port;
	char host[CERTAUTO__ADDRESS];
	certauto__verdict verdict;

	if (at == NULL || (port = strrchr(at, ':')) == NULL)
		return certauto__fail(job, CERTAUTO_EINVAL, NULL, "there is no address to look at");
	snprintf(host, sizeof(host), "%.*s", (int)(port - at), at);
	verdict = certauto__ask_probe(x, host, at, NULL);
	x->timeout_ms = patience < LOOK_MS ? patience : LOOK_MS;
	return verdict;
}

int certauto__nsx_seen(char out[65], const certauto__exchange *x)
{
	const unsigned char *der = NULL;
	size_t len = 0;

	if (x->rc == 0 && x->transfer != NULL)
		der = certauto__transfer_leaf(x->transfer, &len);
	return der != NULL && certauto__sha256_hex(out, der, len) == 0;
}

int64_t certauto__nsx_patience(const certauto_job *job)
{
	return 2 * certauto__option_number(certauto__nsx_target(job), "timeout_ms");
}

certauto__verdict certauto__nsx_later(certauto_job *job, int64_t n)
{
	return certauto__again(job,
		n > 6 ? LATER_MAX_MS : (int64_t)LATER_MS << (n > 0 ? n - 1 : 0));
}

void certauto__nsx_state(certauto__buffer *out, certauto_job *job)
{
	int i, n = certauto__nsx_endpoints(job), told = 0;
	const char *seen, *leaf = certauto__fact_own(job, "leaf");

	for (i = 0; i < n; i++) {
		seen = certauto__fact_nth(job, ".seen", i);
		if (seen == NULL && certauto__nsx_is_out(job, i))
			continue;
		certauto__buffer_printf(out, "%s%s: ", told++ > 0 ? ", " : "",
			certauto__fact_nth(job, "label", i));
		if (seen == NULL)
			certauto__buffer_text_add(out, "no answer");
		else if (certauto__text_equal(seen, leaf))
			certauto__buffer_text_add(out, "the new one");
		else
			certauto__buffer_printf(out, "SHA-256 %.*s...", SHOWN, seen);
	}
}

/* ---- managers ---- */

/* They may have changed certificates while an earlier run was at it. */
certauto__verdict certauto__nsx_cluster_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "pins") != NULL)
		certauto__nsx_trust(job, certauto__fact_own(job, "pins"));
	return certauto__nsx_call(x, certauto__nsx_target(job), "GET", "/api/v1/cluster");
}

enum { NODE_UUID, NODE_NAME, NODE_FQDN, NODE_IP, NODE_PORT, NODE_FIELDS };

const char *const certauto__nsx_node_fields[] = {"nodes[].node_uuid", "nodes[].display_name",
	"nodes[].fqdn", "nodes[].api_listen_addr.ip_address", "nodes[].api_listen_addr.port", NULL};

struct node {
	char values[NODE_FIELDS][CERTAUTO__NSX_NAME];
};

struct cluster {
	certauto_job *job;
	int last;        /* pass: of those that we talk to, or of the others */
	int listed;      /* nodes of the cluster */
	int known;       /* of these, those that the option names */
};

/* Host of the option url, and its address. */
static int url_host(certauto__buffer *host, int *port, const certauto_job *job)
{
	return certauto__url_host(
		certauto__option_text(certauto__nsx_target(job), "url"), host, port);
}

static int is_called(const struct node *node, const char *host)
{
	int i;

	for (i = NODE_UUID; i <= NODE_IP; i++) {
		if (certauto__text_equal_nocase(node->values[i], host))
			return 1;
	}
	return 0;
}

/* The address of an item of the option nodes, and its host as nodes are called. */
static int item_read(char at[CERTAUTO__ADDRESS], char host[CERTAUTO__ADDRESS], const char *item,
	int port)
{
	int len, is_ipv6;

	if (certauto__address_format(at, item, port) < 0)
		return 0;
	is_ipv6 = at[0] == '[';
	len = (int)(strrchr(at, ':') - at);
	snprintf(host, CERTAUTO__ADDRESS, "%.*s", len - 2 * is_ipv6, at + is_ipv6);
	return 1;
}

static int node_at(struct node *node, const char *const *row, int i)
{
	int k;

	if (i >= CERTAUTO__NSX_NODES || !certauto__nsx_value(node->values[NODE_UUID],
			CERTAUTO__NSX_NAME, row[NODE_UUID], i))
		return 0;
	for (k = NODE_NAME; k < NODE_FIELDS; k++) {
		if (!certauto__nsx_value(node->values[k], CERTAUTO__NSX_NAME, row[k], i))
			node->values[k][0] = '\0';
	}
	return 1;
}

int certauto__nsx_has_node(const char *const *row, const char *item)
{
	char at[CERTAUTO__ADDRESS], host[CERTAUTO__ADDRESS];
	struct node node;
	int i, found = 0;

	if (item_read(at, host, item, 443))
		for (i = 0; !found && node_at(&node, row, i); i++)
			found = is_called(&node, host);
	return found;
}

/* The address of a node: as the option nodes has it, or its own. 1; 0: the option has others. */
static int node_address(char out[CERTAUTO__ADDRESS], const certauto_job *job,
	const struct node *node)
{
	const certauto__list *nodes = certauto__option_list(certauto__nsx_target(job), "nodes");
	const char *ip = node->values[NODE_IP];
	int64_t port = 443;
	char host[CERTAUTO__ADDRESS];
	size_t i;

	(void)certauto__number_parse(node->values[NODE_PORT], 1, 65535, &port);
	if (nodes->n == 0) {
		if (ip[0] == '\0')
			ip = node->values[NODE_FQDN];
		snprintf(host, sizeof(host), strchr(ip, ':') != NULL ? "[%s]" : "%s", ip);
		return certauto__address_format(out, host, (int)port) == 0;
	}
	for (i = 0; i < nodes->n; i++) {
		if (item_read(out, host, nodes->items[i], (int)port) && is_called(node, host))
			return 1;
	}
	return 0;
}

/* By its id, where an earlier run has had it: the way back goes by that place, in whatever order
 * managers are told, and whichever of them is talked to, by now. */
static int endpoint_add(certauto_job *job, const char *node, const char *label, const char *at,
	const char *names)
{
	int i = 0, n = certauto__nsx_endpoints(job);

	while (i < n && !certauto__text_equal(certauto__fact_nth(job, "node", i), node))
		i++;
	if (i == ENDPOINTS_MAX)
		return certauto__error_set(certauto__job_error_of(job), CERTAUTO_EPROTO, label,
			"the managers have changed too often since the last run that got to its "
			"end");
	if (i == n)
		certauto__fact_set_number(job, "n", n + 1);
	certauto__fact_nth_set(job, ".out", i, NULL);
	certauto__fact_nth_set(job, "node", i, node);
	certauto__fact_nth_set(job, "label", i, label);
	certauto__fact_nth_set(job, "at", i, at);
	certauto__fact_nth_set(job, ".names", i, names);
	certauto__fact_nth_set(job, ".seen", i, NULL);
	return 0;
}

static int node_take(struct cluster *cluster, const struct node *node)
{
	certauto__buffer host = CERTAUTO__BUFFER(512), label = CERTAUTO__BUFFER(4096);
	char at[CERTAUTO__ADDRESS], names[2 * CERTAUTO__NSX_NAME];
	const char *name = node->values[NODE_NAME];
	int port, last, rc;

	if ((rc = url_host(&host, &port, cluster->job)) < 0)
		goto out;
	last = is_called(node, certauto__buffer_text(&host));
	if (last != cluster->last)
		goto out;
	if (last)
		certauto__fact_set(cluster->job, ".via", node->values[NODE_UUID]);
	/* One without an id could not be given anything. */
	if (!has_nodes(cluster->job) || node->values[NODE_UUID][0] == '\0' ||
		!node_address(at, cluster->job, node))
		goto out;
	cluster->known++;
	certauto__text_escape(&label, name[0] != '\0' ? name : at,
		strlen(name[0] != '\0' ? name : at));
	snprintf(names, sizeof(names), "%s,%s", node->values[NODE_IP], node->values[NODE_FQDN]);
	if ((rc = label.rc) == 0)
		rc = endpoint_add(cluster->job, node->values[NODE_UUID],
			certauto__buffer_text(&label), at, names);
out:
	certauto__buffer_free(&label);
	certauto__buffer_free(&host);
	return rc;
}

/* The cluster is one object, and its nodes are a list in it. */
static int cluster_row(void *arg, const char *const *row)
{
	struct cluster *cluster = arg;
	int64_t port = 443;
	struct node node;
	int i, rc = 0;

	for (cluster->last = 0; cluster->last < 2; cluster->last++) {
		for (i = 0; rc == 0 && node_at(&node, row, i); i++) {
			cluster->listed += !cluster->last;
			rc = node_take(cluster, &node);
		}
	}
	/* The VIP listens at the same port as they do. */
	if (certauto__nsx_value(node.values[NODE_PORT], CERTAUTO__NSX_NAME, row[NODE_PORT], 0))
		(void)certauto__number_parse(node.values[NODE_PORT], 1, 65535, &port);
	certauto__fact_set_number(cluster->job, ".port", port);
	return rc;
}

static void begin(certauto_job *job)
{
	int i;

	certauto__nsx_begin(job);
	for (i = 0; i < certauto__nsx_endpoints(job); i++)
		certauto__fact_nth_set(job, ".out", i, "yes");
	certauto__fact_set(job, ".via", NULL);
}

certauto__verdict certauto__nsx_cluster_read(certauto_job *job, certauto__exchange *x)
{
	const certauto__list *nodes = certauto__option_list(certauto__nsx_target(job), "nodes");
	struct cluster cluster = {.job = job};
	const char *date;

	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, NULL, "reading the cluster");
	begin(job);
	date = certauto__transfer_header(x->transfer, "Date", 0);
	certauto__fact_set_number(
		job, ".date", date != NULL ? certauto__clock_parse_http(date) : -1);
	if (certauto__rest_object(x, certauto__nsx_node_fields, cluster_row, &cluster,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (has_nodes(job) && (cluster.known == 0 ||
		(size_t)cluster.known < (nodes->n > 0 ? nodes->n : (size_t)cluster.listed)))
		return certauto__nsx_stop(job, CERTAUTO_ENOTFOUND, NULL,
			CERTAUTO__NSX_NODES_ADVICE,
			"%s", nodes->n > 0 ? "the option nodes names managers that are not in the "
					     "cluster"
			: cluster.listed > 0 ? "the cluster does not tell the ids and addresses "
					       "of its managers"
					     : "the cluster has no managers");
	return CERTAUTO__NEXT;
}

/* ---- the VIP ---- */

certauto__verdict certauto__nsx_virtual_ask(certauto_job *job, certauto__exchange *x)
{
	if (!has_vip(job))
		return CERTAUTO__NEXT;
	return certauto__nsx_call(
		x, certauto__nsx_target(job), "GET", "/api/v1/cluster/api-virtual-ip");
}

static int virtual_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	int i;

	for (i = 0; i < 2; i++) {
		if (row[i] == NULL || !certauto__ip_check(row[i]) ||
			strcmp(row[i], "0.0.0.0") == 0 || strcmp(row[i], "::") == 0)
			continue;
		certauto__fact_set(job, ".vip", row[i]);
		break;
	}
	return 0;
}

static certauto__verdict virtual_unset(certauto_job *job)
{
	const char *wanted = certauto__option_text(certauto__nsx_target(job), "vip");

	if (wanted == NULL)
		return certauto__nsx_stop(job, CERTAUTO_ENOTFOUND, NULL,
			"set it by hand (System, Appliances, Set Virtual IP) or as option vip; or "
			"have the managers alone served, with service=node",
			"the cluster has no virtual IP");
	certauto__fact_set(job, "vip.set", wanted);
	certauto__fact_set(job, ".unset", "yes");
	certauto__fact_set(job, ".vip", wanted);
	return CERTAUTO__NEXT;
}

static certauto__verdict virtual_other(certauto_job *job)
{
	return certauto__nsx_stop(job, CERTAUTO_EREFUSED, NULL,
		"leave out the option vip: one that is set is never changed",
		"the virtual IP of the cluster is %s, and not %s", certauto__fact_own(job, ".vip"),
		certauto__option_text(certauto__nsx_target(job), "vip"));
}

/* The name that the url has is the VIP's, unless it is a manager's. */
static int virtual_add(certauto_job *job)
{
	const char *ip = certauto__fact_own(job, ".vip"), *name;
	char at[CERTAUTO__ADDRESS], names[2 * CERTAUTO__NSX_NAME];
	certauto__buffer host = CERTAUTO__BUFFER(512);
	const char *tls_port = certauto__fact_own(job, ".port");
	int port, is_ip, rc;

	if (url_host(&host, &port, job) < 0)
		certauto__buffer_clear(&host);
	name = certauto__buffer_text(&host);
	is_ip = certauto__ip_check(name);
	if (certauto__fact_own(job, ".via") != NULL)
		name = "";
	else if (!is_ip || strcmp(name, ip) == 0)
		certauto__fact_set(job, ".via", "vip");
	snprintf(at, sizeof(at), strchr(ip, ':') != NULL ? "[%s]:%s" : "%s:%s", ip,
		tls_port != NULL ? tls_port : "443");
	snprintf(names, sizeof(names), "%s,%.250s", ip, is_ip ? "" : name);
	rc = endpoint_add(job, "vip", "VIP", at, names);
	certauto__buffer_free(&host);
	return rc;
}

certauto__verdict certauto__nsx_virtual_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"ip_address", "ip6_address", NULL};
	const char *wanted = certauto__option_text(certauto__nsx_target(job), "vip");
	certauto__verdict verdict = CERTAUTO__NEXT;

	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, NULL, "reading the virtual IP");
	certauto__fact_set(job, ".vip", NULL);
	certauto__fact_set(job, ".unset", NULL);
	if (certauto__rest_object(x, fields, virtual_row, job, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, ".vip") == NULL)
		verdict = virtual_unset(job);
	else if (wanted != NULL && !certauto__fact_is(job, ".vip", wanted))
		verdict = virtual_other(job);
	if (verdict == CERTAUTO__NEXT && certauto__fact_own(job, ".vip") != NULL &&
		virtual_add(job) < 0)
		return CERTAUTO__FAILED;
	return verdict;
}

/* ---- a look at each ---- */

certauto__verdict certauto__nsx_look_ask(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);

	if (certauto__nsx_is_out(job, i))
		return CERTAUTO__NEXT;
	if (certauto__nsx_is_vip(job, i) && certauto__fact_own(job, ".unset") != NULL)
		return CERTAUTO__NEXT; /* it is not there yet */
	return certauto__nsx_look(job, x, certauto__fact_nth(job, "at", i));
}

/* One that an earlier run has had restarted may be away for a while. */
certauto__verdict certauto__nsx_look_read(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);
	char seen[65];

	if (certauto__nsx_seen(seen, x)) {
		certauto__fact_nth_set(job, ".seen", i, seen);
		return CERTAUTO__NEXT;
	}
	if (certauto__step_age_ms(job) < certauto__nsx_patience(job) / 4)
		return certauto__nsx_later(job, certauto__step_attempts(job));
	return certauto__nsx_stop(job, CERTAUTO_ENET, certauto__fact_nth(job, "label", i),
		"certificates are replaced when all of the cluster is well; see how the node is, "
		"or leave it out by the option nodes",
		"%s does not answer at %s: %s", certauto__fact_nth(job, "label", i),
		certauto__fact_nth(job, "at", i), certauto_error_message(&x->error));
}
