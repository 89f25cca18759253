"""The shapes and the names of secrets, as data. This module does not know how they are applied.

The vendors publish the shapes; many are also in the public rules of gitleaks and detect-secrets. Shapes that digests and
commits share, such as the 40 hex digits of W&B's keys, are not listed: such keys are found by the name beside them.
"""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """One shape. Only texts with one of the `literals` are searched for `pattern`, which matches exactly the secret."""

    vendor: str
    literals: tuple[str, ...]
    pattern: str
    begins: bool = False
    """Whether the secret begins with one of the literals, without a letter or digit in front."""


def _token(vendor: str, literals: str, rest: str) -> Shape:
    """Return a shape that begins with one of `literals`, without a letter or digit in front, and continues with `rest`."""
    words = tuple(literals.split())
    starts = "|".join(word.replace(".", r"\.") for word in words)
    return Shape(vendor, words, rf"(?<![A-Za-z0-9])(?:{starts}){rest}", begins=True)


_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_END = r"(?![A-Za-z0-9])"

SHAPES = (
    # URLs come first: an escaped secret in a URL does not match its shape up to its end.
    Shape("user and password in a URL", ("://",), r"""(?<=://)[^\s/@:"'<>]*:[^\s/?\#"'<>]+(?=@)"""),
    Shape("token before a URL's host", ("://",), r"""(?<=://)[^\s/@:?\#"'<>]{20,200}(?=@)"""),
    # Language models and machine learning
    _token(
        "OpenAI, Anthropic, OpenRouter, Langfuse",
        "sk-proj- sk-ant- sk-or- sk-svcacct- sk-admin- sk-lf-",
        r"[\w-]{20,}",
    ),
    _token("OpenAI, DeepSeek", "sk-", r"(?=[A-Za-z]{0,60}\d)[A-Za-z0-9]{20,}"),
    _token("Hugging Face", "hf_ api_org_", r"[A-Za-z0-9]{20,}"),
    _token("Groq", "gsk_", r"[A-Za-z0-9]{40,}"),
    _token("Replicate", "r8_", r"[A-Za-z0-9]{36,}"),
    _token("NVIDIA", "nvapi-", r"[\w-]{40,}"),
    _token("xAI", "xai-", r"[A-Za-z0-9]{60,}"),
    _token("Perplexity", "pplx-", r"[A-Za-z0-9]{40,}"),
    _token("Fireworks", "fw_", r"(?=[A-Za-z]{0,60}\d)[A-Za-z0-9]{22,}" + _END),
    _token("Together", "tgp_v1_", r"[\w-]{30,}"),
    _token("Pinecone", "pcsk_", r"\w{30,}"),
    _token("LangSmith", "lsv2_pt_ lsv2_sk_ ls__", r"[0-9a-f]{32}(?:_[0-9a-f]{10})?"),
    _token("LlamaCloud", "llx-", r"[A-Za-z0-9]{40,}"),
    _token("Tavily", "tvly-", r"(?:dev-|prod-)?[A-Za-z0-9]{28,}"),
    _token("Jina", "jina_", r"[\w-]{50,}"),
    _token("Weights & Biases", "wandb_v1_", r"\w{30,}"),
    _token("Neptune", "eyJhcGlf", r"[A-Za-z0-9+/]{40,}={0,2}"),
    _token("Kaggle", "KGAT_", r"[0-9a-f]{32}"),
    _token("Databricks", "dapi", r"[a-f0-9]{32}(?:-\d)?" + _END),
    _token("Prefect", "pnu_ pnb_", r"[A-Za-z0-9]{36}"),
    _token("Comet", "ck_", r"(?=[A-Za-z]{0,60}\d)[A-Za-z0-9]{32,}" + _END),
    # Clouds
    _token("AWS access key", "AKIA ASIA ABIA ACCA A3T", r"[0-9A-Z]{16,17}" + _END),
    _token("AWS Bedrock", "ABSK", r"[A-Za-z0-9+/]{100,}={0,2}"),
    _token("AWS Bedrock", "bedrock-api-key-", r"[A-Za-z0-9+/=]{20,}"),
    _token("Google API key", "AIza", r"[\w-]{35}"),
    _token("Google OAuth", "ya29.", r"[\w-]{20,}"),
    _token("Google OAuth client", "GOCSPX-", r"[\w-]{28}"),
    _token("Google refresh token", "1//0", r"[\w-]{40,}"),
    Shape("Azure AD", ("Q~",), r"(?<![\w.~-])[\w.~]{3}\dQ~[\w.~-]{31,34}(?![\w~-])"),
    _token("Alibaba", "LTAI", r"[A-Za-z0-9]{16,24}" + _END),
    _token("Tencent", "AKID", r"[A-Za-z0-9]{32}" + _END),
    _token("Yandex", "AQVN", r"[\w-]{35,38}"),
    _token("DigitalOcean", "dop_v1_ doo_v1_ dor_v1_", r"[a-f0-9]{64}"),
    _token("Scaleway, Scalingo", "tk-us- tk-eu-", r"[\w-]{48}"),
    _token("Fly.io", "fo1_ fm1a_ fm1r_ fm2_", r"[\w+/-]{43,}={0,3}"),
    _token("Netlify", "nfp_ nfc_ nfo_ nfu_", r"[A-Za-z0-9]{36}"),
    _token("Supabase", "sbp_ sb_secret_", r"[\w-]{30,}"),
    _token("PlanetScale", "pscale_tkn_ pscale_oauth_ pscale_pw_", r"[\w=.-]{32,64}"),
    _token("Cloudflare", "v1.0-", r"[a-f0-9]{24}-[a-f0-9]{100,}"),
    _token("Heroku", "HRKU-", r"[\w-]{36,}"),
    _token("OpenShift", "sha256~", r"[\w-]{43}"),
    _token("Pulumi", "pul-", r"[a-f0-9]{40}"),
    Shape("Terraform", (".atlasv1.",), r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,70}"),
    _token("Vault", "hvs. hvb. hvr.", r"[\w-]{24,}"),
    _token("Doppler", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim.", r"(?:[a-z0-9_-]+\.)?[A-Za-z0-9]{40,44}"),
    _token("age", "AGE-SECRET-KEY-1", r"[A-Z0-9]{58}"),
    _token("1Password", "ops_eyJ", r"[A-Za-z0-9+/]{100,}={0,3}"),
    _token(
        "1Password",
        "A3-",
        r"[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}" + _END,
    ),
    _token("Tailscale", "tskey-", r"(?:auth|api|client|scim|webhook)-[\w-]{20,}"),
    _token("Dynatrace", "dt0c01. dt0s01. dt0s16.", r"[A-Za-z0-9]{8,24}\.[A-Za-z0-9]{64}"),
    _token("Infracost", "ico-", r"[A-Za-z0-9]{32}" + _END),
    _token("ClickHouse", "4b1d", r"[A-Za-z0-9]{38}" + _END),
    _token("SettleMint", "sm_aat_ sm_pat_ sm_sat_", r"[A-Za-z0-9]{16}" + _END),
    Shape(
        "Authress",
        (".acc_", ".acc-"),
        r"(?<![A-Za-z0-9])\w{2,8}_[a-z0-9]{5,30}\.[a-z0-9]{4,6}\.acc[_-][a-z0-9-]{10,32}\.[\w+/=-]{30,120}",
    ),
    Shape("Vault", ("s.",), r"(?<![\w.])s\.(?=[A-Za-z]{0,23}\d)[A-Za-z0-9]{24}(?!\w)"),
    # Code and packages
    _token("GitHub", "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", r"\w{20,}"),
    _token(
        "GitLab",
        "glpat- gldt- glft- glsoat- glrt- glcbt- glimt- glptt- glagent- gloas- glffct- GR1348941",
        r"[\w.-]{20,}",
    ),
    _token("Atlassian", "ATATT3 ATCTT3 ATBB", r"[\w=-]{24,}"),
    _token("PyPI", "pypi-AgE", r"[\w-]{40,}"),
    _token("npm", "npm_", r"[A-Za-z0-9]{36}" + _END),
    _token("RubyGems", "rubygems_", r"[a-f0-9]{48}"),
    _token("NuGet", "oy2", r"[a-z0-9]{43}" + _END),
    _token("crates.io", "cio", r"(?=[A-Za-z]{0,31}\d)[A-Za-z0-9]{32}" + _END),
    _token("Clojars", "CLOJARS_", r"[a-z0-9]{60}"),
    _token("Docker", "dckr_pat_ dckr_oat_", r"[\w-]{20,}"),
    _token("Artifactory", "AKCp", r"[A-Za-z0-9]{60,}"),
    _token("Artifactory", "cmVmd", r"[A-Za-z0-9]{59}" + _END),
    _token("Sourcegraph", "sgp_", r"(?:(?:[a-fA-F0-9]{16}|local)_)?[a-fA-F0-9]{40}"),
    _token("SonarQube", "squ_ sqp_ sqa_", r"[a-f0-9]{40}"),
    _token("Octopus", "API-", r"[A-Z0-9]{26}" + _END),
    _token("Harness", "pat. sat.", r"[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}"),
    _token("Postman", "PMAK-", r"[a-f0-9]{24}-[a-f0-9]{34}"),
    _token("ReadMe", "rdme_", r"[a-z0-9]{70}"),
    _token("LaunchDarkly", "sdk- api- mob-", _ID),
    # Observability
    _token("Sentry", "sntrys_ sntryu_", r"[\w+/=-]{40,}"),
    _token("Grafana", "glsa_", r"[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}"),
    _token("Grafana Cloud", "glc_", r"[A-Za-z0-9+/]{32,}={0,3}"),
    _token("New Relic", "NRAK- NRII- NRJS- NRRA- NRSP-", r"[A-Za-z0-9-]{19,42}"),
    _token("PostHog", "phx_", r"[A-Za-z0-9]{40,}"),
    # Messages
    _token("Slack", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xoxc- xoxd- xapp- xoxe.xox", r"[\w%-]{10,}"),
    Shape(
        "Slack", ("hooks.slack.com",), r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w+/-]{20,}"
    ),
    Shape("Discord", ("/api/webhooks/", "/api/v"), r"(?<=/webhooks/)\d{15,20}/[\w-]{50,}"),
    Shape("Discord", (".",), r"(?<![\w.-])[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,38}(?![\w-])"),
    Shape("Teams", ("webhook.office.com",), r"(?<=webhook\.office\.com/)webhookb2/[\w@/-]{60,}"),
    Shape("Teams", (".logic.azure.com",), r"(?<=[?&]sig=)[\w-]{20,}"),
    Shape(
        "Telegram",
        (":AA",),
        r"(?<![\w:-])\d{8,10}:AA[\w-]{32,33}(?![\w-])|(?<=/bot)\d{8,10}:AA[\w-]{32,33}(?![\w-])",
    ),
    Shape("Zapier", ("hooks.zapier.com",), r"(?<=hooks\.zapier\.com/hooks/catch/)\d+/\w+"),
    _token("SendGrid", "SG.", r"[\w=.-]{66}"),
    _token("Brevo", "xkeysib- xsmtpsib-", r"[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    _token("Mailgun", "key-", r"[a-f0-9]{32}" + _END),
    Shape("Mailchimp", ("-us",), r"(?<![A-Za-z0-9])[a-f0-9]{32}-us\d{1,2}" + _END),
    _token("Twilio", "SK", r"[a-fA-F0-9]{32}" + _END),
    # Money and shops
    _token("Stripe", "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_", r"[A-Za-z0-9]{10,}"),
    _token("Stripe", "whsec_", r"[A-Za-z0-9+/]{20,}={0,2}"),
    _token("Square", "sq0atp- sq0csp-", r"[\w-]{22,60}"),
    _token("Square", "EAAA", r"[\w-]{22,62}" + _END),
    _token("Shopify", "shpat_ shpca_ shppa_ shpss_", r"[a-fA-F0-9]{32}"),
    _token("Shippo", "shippo_live_ shippo_test_", r"[a-fA-F0-9]{40}"),
    _token("EasyPost", "EZAK EZTK", r"[A-Za-z0-9]{54}"),
    _token("Flutterwave", "FLWSECK-", r"[A-Za-z0-9]{32}-X"),
    _token("Flutterwave", "FLWSECK_TEST-", r"[A-Za-z0-9]{12,32}(?:-X)?"),
    _token("Razorpay", "rzp_live_ rzp_test_", r"[A-Za-z0-9]{14,}"),
    _token("Plaid", "access-sandbox- access-development- access-production-", _ID),
    Shape(
        "Braintree", ("access_token$",), r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}"
    ),
    _token("Duffel", "duffel_test_ duffel_live_", r"[\w=-]{43}"),
    # Offices and social networks
    _token("Notion", "ntn_", r"[A-Za-z0-9]{40,}"),
    _token("Notion", "secret_", r"(?=[A-Za-z]{0,60}\d)[A-Za-z0-9]{43}" + _END),
    _token("Airtable", "pat", r"[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    _token("Linear", "lin_api_ lin_oauth_", r"[A-Za-z0-9]{40,}"),
    _token("Figma", "figd_ figo_", r"[\w-]{40,}"),
    _token("Typeform", "tfp_", r"[\w=.-]{40,}"),
    _token("HubSpot", "pat-na1- pat-eu1-", _ID),
    _token("Dropbox", "sl.", r"[\w=-]{100,}"),
    Shape("Facebook", ("|",), r"(?<![\w])\d{15,16}\|[\w-]{27,40}"),
    _token("Facebook", "EAAM EAAC EAAG EAAB", r"[A-Za-z0-9]{80,}"),
    Shape("Twitter", ("AAAAAAAAAAAAAAAAAAAAA",), r"(?<![A-Za-z0-9])A{21,}[A-Za-z0-9%]{60,}"),
    _token("LinkedIn", "WPL_AP1.", r"[\w.=-]{16,}"),
    _token("Adobe", "p8e-", r"[A-Za-z0-9_-]{32}"),
    _token("Frame.io", "fio-u-", r"[\w=-]{64}"),
    _token("Contentful", "CFPAT-", r"[\w-]{43}"),
    Shape("Asana", ("1/", "0/", "2/"), r"(?<![\w.-])[012]/\d{15,17}(?:/\d{15,17})?:[a-f0-9]{32}" + _END),
    Shape("MaxMind", ("_mmk",), r"(?<![A-Za-z0-9])[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk"),
    _token("Mapbox", "sk.eyJ", r"[\w-]{20,}\.[\w-]{10,}"),
    # General formats
    _token("JSON web token, in base64", "ZXlK", r"[A-Za-z0-9+/]{60,}={0,2}"),
    _token("JSON in base64, as Grafana's keys", "eyJ", r"[A-Za-z0-9+/]{60,}={0,3}(?![\w.-])"),
    _token("JSON web token", "eyJ", r"[\w-]{8,400}\.[\w-]{8,}\.[\w-]*"),
    Shape("signed URL", ("sig=",), r"""(?<=[?&]sig=)[^\s&\#"'<>]{3,}"""),
    Shape("signed URL", ("Signature=",), r"""(?<=Signature=)[^\s&\#"'<>]{16,}"""),
    Shape("bearer token", ("earer ",), r"(?<=earer[ ])(?=[A-Za-z._~+/=-]{0,200}\d)[\w.~+/=-]{16,}"),
)

# -- names of parameters, variables, keys, flags and headers, split into words

CERTAIN = frozenset(
    """password passwords passwd passphrase passwort passcode pwd pw secret secrets credential credentials creds bearer jwt
    apikey apikeys accesskey secretkey privatekey sshkey authkey masterkey signingkey encryptionkey authtoken
    accesstoken""".split()
)
"""The value of a name with one of these words is a secret, unless the last word is one of `ABOUT`."""

CERTAIN_ENDS = (
    "password", "passwd", "passphrase", "passwort", "secret", "apikey", "accesskey", "secretkey", "privatekey", "sshkey",
    "authtoken", "accesstoken", "refreshtoken",
)  # fmt: skip
"""Ends of words that cannot be split, as in `PGPASSWORD` and `clientsecret`."""

CERTAIN_LAST = frozenset(("token", "authorization", "cookie"))
"""The value of a name that ends in one of these is a secret, except for `PLAIN_TOKENS`."""

VENDORS = frozenset(
    """openai anthropic azure aws gcp google huggingface hf wandb comet neptune mlflow clearml cohere mistral groq replicate
    together fireworks deepseek gemini pinecone weaviate qdrant supabase algolia elevenlabs stability nvidia kaggle databricks
    snowflake stripe twilio sendgrid mailgun mailchimp slack discord telegram github gitlab bitbucket jira confluence datadog
    newrelic sentry grafana cloudflare heroku netlify vercel npm pypi docker notion airtable linear figma zendesk okta serper
    serpapi tavily langsmith langfuse openrouter perplexity voyage jina""".split()
)

KEYS = VENDORS | frozenset(
    """api access private secret encryption signing account ssh auth master client license subscription consumer deploy
    admin hmac webhook""".split()
)
"""Words before `key` or `keys` at a name's end."""

PASSES = frozenset(
    "db user smtp mysql redis ftp ssh mail email admin root postgres pg mongo vpn proxy".split()
)
"""Words before `pass`, as two words or as one."""

TOKENS = VENDORS | frozenset(
    """auth access refresh bearer api bot session user csrf xsrf oauth id sas hub deploy personal client app device push secret
    webhook service""".split()
)
"""Words before `token` within one word, as in `hftoken`."""

PAIRS = frozenset(
    (
        *((vendor, "pat") for vendor in ("github", "gitlab", "azure", "devops")),
        ("connection", "string"),
        ("auth", "header"),
        ("basic", "auth"),
        ("http", "auth"),
    )
)

LIKELY = VENDORS | frozenset("key keys tokens auth pass login webhook webhooks".split())
"""A value whose whole name is one of these is a secret if it looks like one."""

LIKELY_PAIRS = frozenset((("webhook", "url"), ("webhook", "uri"), ("hook", "url")))

PLAIN_TOKENS = frozenset(
    """pad eos bos sos eod eot unk oov cls sep mask special additional num n per max min total next prev previous first last
    current start end stop begin new image audio video text word sub each single decoder forced prefix suffix middle fim tool
    think query class boi eoi unknown blank separator delimiter padding masked eol newline space input output target source
    language lang task speaker""".split()
)
"""Words before `_token` where it means a piece of text, as in tokenizers and language models."""

ABOUT = frozenset(
    """policy policies length len size count counts number num type types kind name names file files filename path paths dir
    directory folder column columns field fields min max strength hint mode style pattern regex ratio rate level enabled
    disabled required optional format manager provider store backend class cls id ids embedding embeddings expiry expires
    expiration ttl age timeout rotation prompt label labels index idx attempts retries validator validators reset rules
    hour hours day days minute minutes second seconds score scores position positions source dim verify check""".split()
)
"""Last words of names that are about a secret, such as `password_policy` and `secret_name`."""

STEMS = (
    "pass", "pwd", "secret", "cred", "key", "token", "auth", "connection", "bearer", "cookie", "jwt", "webhook", "login",
    "_pw", "pw_", "_pat",
)  # fmt: skip
"""Every name of a secret contains one of these. Texts without them are not searched for names."""

VARIANTS = frozenset(
    "prod production dev development test testing staging stage live old new default value env b64 base64".split()
)
"""Words that may follow a secret's name, as in `api_key_prod`."""
