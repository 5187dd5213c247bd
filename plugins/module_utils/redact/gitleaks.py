# Copyright (c) 2019 Zachary Rice
# SPDX-License-Identifier: MIT
# fmt: off
"""Tokens that can be told by their own form: rules of gitleaks v8.30.1 (MIT, see LICENSES/MIT-gitleaks.txt).

Made by tests/tools/gitleaks.py. Each: its name, lower-case words of which one has to be there, the expression, and the
number of its group that is the secret.
"""

from __future__ import annotations

TOKENS: tuple[tuple[str, tuple[str, ...], str, int], ...] = (
    ('1password-secret-key', ('a3-',), (
        '\\bA3-[A-Z0-9]{6}-(?:(?:[A-Z0-9]{11})|(?:[A-Z0-9]{6}-[A-Z0-9]{5}))-[A-Z0-9]{5}-[A-Z0-9]{5}-'
        '[A-Z0-9]{5}\\b'
    ), 0),
    ('1password-service-account-token', ('ops_',), 'ops_eyJ[a-zA-Z0-9+/]{250,}={0,3}', 0),
    ('adobe-client-secret', ('p8e-',), '\\b(p8e-(?i:[a-z0-9]{32}))(?![A-Za-z0-9_])', 1),
    ('age-secret-key', ('age-secret-key-1',), 'AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}', 0),
    ('airtable-personnal-access-token', ('airtable',), '\\b(pat[A-Za-z0-9]{14}\\.[a-f0-9]{64})\\b', 1),
    ('alibaba-access-key-id', ('ltai',), '\\b(LTAI(?i:[a-z0-9]{20}))(?![A-Za-z0-9_])', 1),
    ('anthropic-admin-api-key', ('sk-ant-admin01',), '\\b(sk-ant-admin01-[a-zA-Z0-9_\\-]{93}AA)(?![A-Za-z0-9_])', 1),
    ('anthropic-api-key', ('sk-ant-api03',), '\\b(sk-ant-api03-[a-zA-Z0-9_\\-]{93}AA)(?![A-Za-z0-9_])', 1),
    ('artifactory-api-key', ('akcp',), '\\bAKCp[A-Za-z0-9]{69}\\b', 0),
    ('artifactory-reference-token', ('cmvmd',), '\\bcmVmd[A-Za-z0-9]{59}\\b', 0),
    ('authress-service-client-access-key', ('sc_', 'ext_', 'scauth_', 'authress_'), (
        '\\b((?:sc|ext|scauth|authress)_(?i:[a-z0-9]{5,30}\\.[a-z0-9]{4,6}\\.(?-i:acc)[_-][a-z0-9-]{10'
        ',32}\\.[a-z0-9+/_=-]{30,120}))(?![A-Za-z0-9_])'
    ), 1),
    ('aws-access-token', ('a3t', 'akia', 'asia', 'abia', 'acca'), (
        '\\b((?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})\\b'
    ), 1),
    ('aws-amazon-bedrock-api-key-long-lived', ('absk',), '\\b(ABSK[A-Za-z0-9+/]{109,269}={0,2})(?![A-Za-z0-9_])', 1),
    ('aws-amazon-bedrock-api-key-short-lived', ('bedrock-api-key-',), (
        'bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t'
    ), 0),
    ('azure-ad-client-secret', ('q~',), (
        '(?:^|[\\\\\'"\\x60\\s>=:(,)])([a-zA-Z0-9_~.]{3}\\dQ~[a-zA-Z0-9_~.-]{31,34})(?:$|[\\\\\'"\\x60\\s<),])'
    ), 1),
    ('clickhouse-cloud-api-secret-key', ('4b1d',), '\\b(4b1d[A-Za-z0-9]{38})\\b', 1),
    ('clojars-api-token', ('clojars_',), '(?i)CLOJARS_[a-z0-9]{60}', 0),
    ('cloudflare-origin-ca-key', ('cloudflare', 'v1.0-'), '\\b(v1\\.0-[a-f0-9]{24}-[a-f0-9]{146})(?![A-Za-z0-9_])', 1),
    ('databricks-api-token', ('dapi',), '\\b(dapi[a-f0-9]{32}(?:-\\d)?)(?![A-Za-z0-9_])', 1),
    ('digitalocean-access-token', ('doo_v1_',), '\\b(doo_v1_[a-f0-9]{64})(?![A-Za-z0-9_])', 1),
    ('digitalocean-pat', ('dop_v1_',), '\\b(dop_v1_[a-f0-9]{64})(?![A-Za-z0-9_])', 1),
    ('digitalocean-refresh-token', ('dor_v1_',), '(?i)\\b(dor_v1_[a-f0-9]{64})(?![A-Za-z0-9_])', 1),
    ('doppler-api-token', ('dp.pt.',), 'dp\\.pt\\.(?i:[a-z0-9]{43})', 0),
    ('duffel-api-token', ('duffel_',), 'duffel_(?:test|live)_(?i:[a-z0-9_\\-=]{43})', 0),
    ('dynatrace-api-token', ('dt0c01.',), 'dt0c01\\.(?i:[a-z0-9]{24}\\.[a-z0-9]{64})', 0),
    ('easypost-api-token', ('ezak',), '\\bEZAK(?i:[a-z0-9]{54}\\b)', 0),
    ('easypost-test-api-token', ('eztk',), '\\bEZTK(?i:[a-z0-9]{54}\\b)', 0),
    ('facebook-page-access-token', ('eaam', 'eaac'), '\\b(EAA[MC](?i:[a-z0-9]{100,}))(?![A-Za-z0-9_])', 1),
    ('flutterwave-encryption-key', ('flwseck_test',), 'FLWSECK_TEST-(?i:[a-h0-9]{12})', 0),
    ('flutterwave-public-key', ('flwpubk_test',), 'FLWPUBK_TEST-(?i:[a-h0-9]{32}-X)', 0),
    ('flutterwave-secret-key', ('flwseck_test',), 'FLWSECK_TEST-(?i:[a-h0-9]{32}-X)', 0),
    ('flyio-access-token', ('fo1_', 'fm1', 'fm2_'), (
        '\\b((?:fo1_[\\w-]{43}|fm1[ar]_[a-zA-Z0-9+\\/]{100,}={0,3}|fm2_[a-zA-Z0-9+\\/]{100,}={0,3}))(?!'
        '[A-Za-z0-9_])'
    ), 1),
    ('frameio-api-token', ('fio-u-',), 'fio-u-(?i:[a-z0-9\\-_=]{64})', 0),
    ('gcp-api-key', ('aiza',), '\\b(AIza[\\w-]{35})(?![A-Za-z0-9_])', 1),
    ('github-app-token', ('ghu_', 'ghs_'), '(?:ghu|ghs)_[0-9a-zA-Z]{36}', 0),
    ('github-fine-grained-pat', ('github_pat_',), 'github_pat_\\w{82}', 0),
    ('github-oauth', ('gho_',), 'gho_[0-9a-zA-Z]{36}', 0),
    ('github-pat', ('ghp_',), 'ghp_[0-9a-zA-Z]{36}', 0),
    ('github-refresh-token', ('ghr_',), 'ghr_[0-9a-zA-Z]{36}', 0),
    ('gitlab-cicd-job-token', ('glcbt-',), 'glcbt-[0-9a-zA-Z]{1,5}_[0-9a-zA-Z_-]{20}', 0),
    ('gitlab-deploy-token', ('gldt-',), 'gldt-[0-9a-zA-Z_\\-]{20}', 0),
    ('gitlab-feature-flag-client-token', ('glffct-',), 'glffct-[0-9a-zA-Z_\\-]{20}', 0),
    ('gitlab-feed-token', ('glft-',), 'glft-[0-9a-zA-Z_\\-]{20}', 0),
    ('gitlab-incoming-mail-token', ('glimt-',), 'glimt-[0-9a-zA-Z_\\-]{25}', 0),
    ('gitlab-kubernetes-agent-token', ('glagent-',), 'glagent-[0-9a-zA-Z_\\-]{50}', 0),
    ('gitlab-oauth-app-secret', ('gloas-',), 'gloas-[0-9a-zA-Z_\\-]{64}', 0),
    ('gitlab-pat', ('glpat-',), 'glpat-[\\w-]{20}', 0),
    ('gitlab-pat-routable', ('glpat-',), '\\bglpat-[0-9a-zA-Z_-]{27,300}\\.[0-9a-z]{2}[0-9a-z]{7}\\b', 0),
    ('gitlab-ptt', ('glptt-',), 'glptt-[0-9a-f]{40}', 0),
    ('gitlab-rrt', ('gr1348941',), 'GR1348941[\\w-]{20}', 0),
    ('gitlab-runner-authentication-token', ('glrt-',), 'glrt-[0-9a-zA-Z_\\-]{20}', 0),
    ('gitlab-runner-authentication-token-routable', ('glrt-',), (
        '\\bglrt-t\\d_[0-9a-zA-Z_\\-]{27,300}\\.[0-9a-z]{2}[0-9a-z]{7}\\b'
    ), 0),
    ('gitlab-scim-token', ('glsoat-',), 'glsoat-[0-9a-zA-Z_\\-]{20}', 0),
    ('gitlab-session-cookie', ('_gitlab_session=',), '_gitlab_session=[0-9a-z]{32}', 0),
    ('grafana-api-key', ('eyjrijoi',), '(?i)\\b(eyJrIjoi[A-Za-z0-9]{70,400}={0,3})(?![A-Za-z0-9_])', 1),
    ('grafana-cloud-api-token', ('glc_',), '(?i)\\b(glc_[A-Za-z0-9+/]{32,400}={0,3})(?![A-Za-z0-9_])', 1),
    ('grafana-service-account-token', ('glsa_',), '(?i)\\b(glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8})(?![A-Za-z0-9_])', 1),
    ('harness-api-key', ('pat.', 'sat.'), '(?:pat|sat)\\.[a-zA-Z0-9_-]{22}\\.[a-zA-Z0-9]{24}\\.[a-zA-Z0-9]{20}', 0),
    ('hashicorp-tf-api-token', ('atlasv1',), '(?i)[a-z0-9]{14}\\.(?-i:atlasv1)\\.[a-z0-9\\-_=]{60,70}', 0),
    ('heroku-api-key-v2', ('hrku-aa',), '\\b((HRKU-AA[0-9a-zA-Z_-]{58}))(?![A-Za-z0-9_])', 0),
    ('huggingface-access-token', ('hf_',), '\\b(hf_(?i:[a-z]{34}))(?![A-Za-z0-9_])', 1),
    ('huggingface-organization-api-token', ('api_org_',), '\\b(api_org_(?i:[a-z]{34}))(?![A-Za-z0-9_])', 1),
    ('infracost-api-token', ('ico-',), '\\b(ico-[a-zA-Z0-9]{32})(?![A-Za-z0-9_])', 1),
    ('intra42-client-secret', ('intra', 's-s4t2ud-', 's-s4t2af-'), (
        '\\b(s-s4t2(?:ud|af)-(?i:[abcdef0123456789]{64}))(?![A-Za-z0-9_])'
    ), 1),
    ('jwt', ('ey',), (
        '\\b(ey[a-zA-Z0-9]{17,}\\.ey[a-zA-Z0-9\\/\\\\_-]{17,}\\.(?:[a-zA-Z0-9\\/\\\\_-]{10,}={0,2})?)(?![A-Z'
        'a-z0-9_])'
    ), 1),
    ('jwt-base64', ('zxlk',), (
        '\\bZXlK(?:(?P<alg>aGJHY2lPaU)|(?P<apu>aGNIVWlPaU)|(?P<apv>aGNIWWlPaU)|(?P<aud>aGRXUWlPaU)|('
        '?P<b64>aU5qUWlP)|(?P<crit>amNtbDBJanBi)|(?P<cty>amRIa2lPaU)|(?P<epk>bGNHc2lPbn)|(?P<enc>bG'
        'JtTWlPaU)|(?P<jku>cWEzVWlPaU)|(?P<jwk>cWQyc2lPb)|(?P<iss>cGMzTWlPaU)|(?P<iv>cGRpSTZJ)|(?P<'
        'kid>cmFXUWlP)|(?P<key_ops>clpYbGZiM0J6SWpwY)|(?P<kty>cmRIa2lPaUp)|(?P<nonce>dWIyNWpaU0k2)|'
        '(?P<p2c>d01tTWlP)|(?P<p2s>d01uTWlPaU)|(?P<ppt>d2NIUWlPaU)|(?P<sub>emRXSWlPaU)|(?P<svt>emRu'
        'UWlP)|(?P<tag>MFlXY2lPaU)|(?P<typ>MGVYQWlPaUp)|(?P<url>MWNtd2l)|(?P<use>MWMyVWlPaUp)|(?P<v'
        'er>MlpYSWlPaU)|(?P<version>MlpYSnphVzl1SWpv)|(?P<x>NElqb2)|(?P<x5c>NE5XTWlP)|(?P<x5t>NE5YU'
        'WlPaU)|(?P<x5ts256>NE5YUWpVekkxTmlJNkl)|(?P<x5u>NE5YVWlPaU)|(?P<zip>NmFYQWlPaU))[a-zA-Z0-9'
        '\\/\\\\_+\\-\\r\\n]{40,}={0,2}'
    ), 0),
    ('linear-api-key', ('lin_api_',), 'lin_api_(?i:[a-z0-9]{40})', 0),
    ('maxmind-license-key', ('_mmk',), '\\b([A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk)(?![A-Za-z0-9_])', 1),
    ('microsoft-teams-webhook', ('webhook.office.com', 'webhookb2', 'incomingwebhook'), (
        'https://[a-z0-9]+\\.webhook\\.office\\.com/webhookb2/[a-z0-9]{8}-([a-z0-9]{4}-){3}[a-z0-9]{12'
        '}@[a-z0-9]{8}-([a-z0-9]{4}-){3}[a-z0-9]{12}/IncomingWebhook/[a-z0-9]{32}/[a-z0-9]{8}-([a-z'
        '0-9]{4}-){3}[a-z0-9]{12}'
    ), 0),
    ('notion-api-token', ('ntn_',), '\\b(ntn_[0-9]{11}[A-Za-z0-9]{32}[A-Za-z0-9]{3})(?![A-Za-z0-9_])', 1),
    ('npm-access-token', ('npm_',), '(?i)\\b(npm_[a-z0-9]{36})(?![A-Za-z0-9_])', 1),
    ('octopus-deploy-api-key', ('api-',), '\\b(API-[A-Z0-9]{26})(?![A-Za-z0-9_])', 1),
    ('openai-api-key', ('t3blbkfj',), (
        '\\b(sk-(?:proj|svcacct|admin)-(?:[A-Za-z0-9_-]{74}|[A-Za-z0-9_-]{58})T3BlbkFJ(?:[A-Za-z0-9_'
        '-]{74}|[A-Za-z0-9_-]{58})\\b|sk-[a-zA-Z0-9]{20}T3BlbkFJ[a-zA-Z0-9]{20})(?![A-Za-z0-9_])'
    ), 1),
    ('openshift-user-token', ('sha256~',), '\\b(sha256~[\\w-]{43})(?:[^\\w-]|\\Z)', 1),
    ('perplexity-api-key', ('pplx-',), '\\b(pplx-[a-zA-Z0-9]{48})(?![A-Za-z0-9_])', 1),
    ('planetscale-api-token', ('pscale_tkn_',), '\\b(pscale_tkn_(?i:[\\w=\\.-]{32,64}))(?![A-Za-z0-9_])', 1),
    ('planetscale-oauth-token', ('pscale_oauth_',), '\\b(pscale_oauth_[\\w=\\.-]{32,64})(?![A-Za-z0-9_])', 1),
    ('planetscale-password', ('pscale_pw_',), '(?i)\\b(pscale_pw_(?i:[\\w=\\.-]{32,64}))(?![A-Za-z0-9_])', 1),
    ('postman-api-token', ('pmak-',), '\\b(PMAK-(?i:[a-f0-9]{24}\\-[a-f0-9]{34}))(?![A-Za-z0-9_])', 1),
    ('prefect-api-token', ('pnu_',), '\\b(pnu_[a-zA-Z0-9]{36})(?![A-Za-z0-9_])', 1),
    ('pulumi-api-token', ('pul-',), '\\b(pul-[a-f0-9]{40})(?![A-Za-z0-9_])', 1),
    ('pypi-upload-token', ('pypi-ageichlwas5vcmc',), 'pypi-AgEIcHlwaS5vcmc[\\w-]{50,1000}', 0),
    ('readme-api-token', ('rdme_',), '\\b(rdme_[a-z0-9]{70})(?![A-Za-z0-9_])', 1),
    ('rubygems-api-token', ('rubygems_',), '\\b(rubygems_[a-f0-9]{48})(?![A-Za-z0-9_])', 1),
    ('scalingo-api-token', ('tk-us-',), '\\b(tk-us-[\\w-]{48})(?![A-Za-z0-9_])', 1),
    ('sendgrid-api-token', ('sg.',), '\\b(SG\\.(?i:[a-z0-9=_\\-\\.]{66}))(?![A-Za-z0-9_])', 1),
    ('sendinblue-api-token', ('xkeysib-',), '\\b(xkeysib-[a-f0-9]{64}\\-(?i:[a-z0-9]{16}))(?![A-Za-z0-9_])', 1),
    ('sentry-org-token', ('sntrys_eyjpyxqio',), (
        '\\bsntrys_eyJpYXQiO[a-zA-Z0-9+/]{10,200}(?:LCJyZWdpb25fdXJs|InJlZ2lvbl91cmwi|cmVnaW9uX3VybC'
        'I6)[a-zA-Z0-9+/]{10,200}={0,2}_[a-zA-Z0-9+/]{43}(?:[^a-zA-Z0-9+/]|\\Z)'
    ), 0),
    ('sentry-user-token', ('sntryu_',), '\\b(sntryu_[a-f0-9]{64})(?![A-Za-z0-9_])', 1),
    ('settlemint-application-access-token', ('sm_aat',), '\\b(sm_aat_[a-zA-Z0-9]{16})(?![A-Za-z0-9_])', 1),
    ('settlemint-personal-access-token', ('sm_pat',), '\\b(sm_pat_[a-zA-Z0-9]{16})(?![A-Za-z0-9_])', 1),
    ('settlemint-service-access-token', ('sm_sat',), '\\b(sm_sat_[a-zA-Z0-9]{16})(?![A-Za-z0-9_])', 1),
    ('shippo-api-token', ('shippo_',), '\\b(shippo_(?:live|test)_[a-fA-F0-9]{40})(?![A-Za-z0-9_])', 1),
    ('shopify-access-token', ('shpat_',), 'shpat_[a-fA-F0-9]{32}', 0),
    ('shopify-custom-access-token', ('shpca_',), 'shpca_[a-fA-F0-9]{32}', 0),
    ('shopify-private-app-access-token', ('shppa_',), 'shppa_[a-fA-F0-9]{32}', 0),
    ('shopify-shared-secret', ('shpss_',), 'shpss_[a-fA-F0-9]{32}', 0),
    ('slack-app-token', ('xapp',), '(?i)xapp-\\d-[A-Z0-9]+-\\d+-[a-z0-9]+', 0),
    ('slack-bot-token', ('xoxb',), 'xoxb-[0-9]{10,13}-[0-9]{10,13}[a-zA-Z0-9-]*', 0),
    ('slack-config-access-token', ('xoxe.xoxb-', 'xoxe.xoxp-'), '(?i)xoxe.xox[bp]-\\d-[A-Z0-9]{163,166}', 0),
    ('slack-config-refresh-token', ('xoxe-',), '(?i)xoxe-\\d-[A-Z0-9]{146}', 0),
    ('slack-legacy-bot-token', ('xoxb',), 'xoxb-[0-9]{8,14}-[a-zA-Z0-9]{18,26}', 0),
    ('slack-legacy-token', ('xoxo', 'xoxs'), 'xox[os]-\\d+-\\d+-\\d+-[a-fA-F\\d]+', 0),
    ('slack-legacy-workspace-token', ('xoxa', 'xoxr'), 'xox[ar]-(?:\\d-)?[0-9a-zA-Z]{8,48}', 0),
    ('slack-user-token', ('xoxp-', 'xoxe-'), 'xox[pe](?:-[0-9]{10,13}){3}-[a-zA-Z0-9-]{28,34}', 0),
    ('slack-webhook-url', ('hooks.slack.com',), (
        '(?:https?://)?hooks.slack.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{43,56}'
    ), 0),
    ('square-access-token', ('sq0atp-', 'eaaa'), '\\b((?:EAAA|sq0atp-)[\\w-]{22,60})(?![A-Za-z0-9_])', 1),
    ('stripe-access-token', ('sk_test', 'sk_live', 'sk_prod', 'rk_test', 'rk_live', 'rk_prod'), (
        '\\b((?:sk|rk)_(?:test|live|prod)_[a-zA-Z0-9]{10,99})(?![A-Za-z0-9_])'
    ), 1),
    ('twilio-api-key', ('sk',), 'SK[0-9a-fA-F]{32}', 0),
    ('vault-batch-token', ('hvb.',), '\\b(hvb\\.[\\w-]{138,300})(?![A-Za-z0-9_])', 1),
)
