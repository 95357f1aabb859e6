/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_FLEET_LINEAGE_H
#define CERTAUTO_FLEET_LINEAGE_H

/* Between the files of a lineage's job. */

#include "fleet/fleet.h"

/* Durable facts of the job. */
#define CERTAUTO__FACT_GENERATION "generation" /* half-made: its key and CSR are kept */
#define CERTAUTO__FACT_DEPLOYING "deploying"   /* generation that is being deployed */
#define CERTAUTO__FACT_EARLY "early"           /* "1": ordered because the CA suggests it */

struct certauto__revived {           /* what children of an earlier run are undone with */
	struct certauto__deployment *deployment;
	struct certauto__revived *next;
};

struct certauto__lineage {
	struct certauto__run *run;
	const struct certauto__certificate *certificate;
	char *key;
	struct certauto__result *result;

	void *lock;                  /* held from the guard's first step to its end */
	struct certauto__view view;
	int issue;                   /* an order is to be made */
	int deploy_all;              /* every target; else those that lack the current generation */
	int64_t blocked_until;       /* the order that is due must wait; 0 = it need not */
	int stopped;                 /* it is not made, for it would fail as it has before */
	struct certauto__renewal_question question; /* to the CA */
	char *request;               /* PEM the target has made; it has the key */
	struct certauto__revocation revocation;
	certauto__pkey *own_key;     /* by which it is revoked */
	certauto_order *order;
	int ordering;                /* the CA is being asked: a failure is one of the order */
	int deploying;               /* what an earlier run was deploying is still to be */
	int issued, deployed, settled;
	int visited;                 /* targets were: if all was as it should be, not `deployed` */
	int collected;               /* what the targets' jobs ended with is in view.state */
	struct certauto__revived *revived;
};

/* The steps, in the order of the table. lineage.c */
certauto__verdict certauto__lineage_look(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__lineage_decide(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__lineage_leftovers(certauto_job *job, certauto__exchange *x);
/* lineage_renewal.c: before it is decided, and once more for a new certificate */
certauto__verdict certauto__lineage_renewal_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__lineage_renewal_first(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__lineage_renewal_read(certauto_job *job, certauto__exchange *x);
/* lineage_issue.c */
certauto__verdict certauto__lineage_request_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__lineage_request_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__lineage_draft(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__lineage_order_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__lineage_order_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__lineage_complete(certauto_job *job, certauto__exchange *x);
/* lineage_deploy.c */
certauto__verdict certauto__lineage_deploy_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__lineage_deploy_read(certauto_job *job, certauto__exchange *x);

/* An order of the certificate's names as a CSR kept has them; in lineage->order. */
int certauto__lineage_make_order(struct certauto__lineage *lineage,
	const struct certauto__generation *draft, certauto_error *err);
/* What a child of an earlier run hangs on, to be undone: an order, a deployment, a request. */
int certauto__lineage_revive(certauto_job *job, const char *table, const char *key,
	const struct certauto__table **table_out, void **env_out, certauto__peer **peer_out);
/* Takes over how the targets' jobs ended; once. */
void certauto__lineage_collect(certauto_job *job);
int certauto__lineage_save_state(struct certauto__lineage *lineage, certauto_error *err);

extern const struct certauto__table certauto__lineage_table;
/* lineage_revoke.c: instead of the former; it has no record. */
extern const struct certauto__table certauto__lineage_revoke_table;

#endif
