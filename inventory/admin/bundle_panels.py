"""What pages show of bundles: what something is made of, how many can be had, and what is made of it."""

from django.http import HttpRequest
from django.urls import reverse

from config.admin_panels import Panel, page_of
from inventory.bundles import kits_available
from inventory.models import Bundle, BundleComponent, BundleKind, Location, Variant
from inventory.units import shown


def bundle_links(request: HttpRequest, variant: Variant) -> list[tuple[str, str]]:
    """Returns where a variant's components are entered and, of a composite, where it is assembled."""
    links = []
    if request.user.has_perm("inventory.define_bundle"):
        links.append((f"{reverse('admin:inventory_bundle_add')}?variant={variant.pk}", "Components"))
    bundle = variant.bundles.filter(is_current=True).first()
    is_composite = bundle is not None and bundle.kind == BundleKind.COMPOSITE
    if is_composite and request.user.has_perm("inventory.move_stock"):
        links += [
            (f"{reverse(f'admin:inventory_{verb}')}?variant={variant.pk}", verb.capitalize())
            for verb in ("assemble", "disassemble")
        ]
    return links


def bundle_panels(variant: Variant) -> list[Panel]:
    """Shows, of a bundle, what is in it and how many can be had; of any variant, the bundles that contain it."""
    bundle = variant.bundles.filter(is_current=True).first()
    panels = [components_panel(bundle)] if bundle else []
    if bundle and bundle.kind == BundleKind.KIT:
        panels.append(availability_panel(variant))
    return [*panels, _used_in(variant)]


def components_panel(bundle: Bundle) -> Panel:
    """Shows what a version is made of, as it was entered."""
    components = bundle.components.select_related("variant__unit").order_by("id")
    rows = [
        (page_of(each.variant), each.variant.title, shown(each.quantity, each.variant.unit))
        for each in components
    ]
    title = f"{bundle.get_kind_display()}, version {bundle.version}: in one"
    return Panel(title, ("SKU", "Title", "Amount"), rows)


def availability_panel(variant: Variant) -> Panel:
    """Shows how many of a kit can be had at each location: as many as its scarcest part is enough for."""
    kits = kits_available(variant.merchant_id, [variant.pk]).get(variant.pk, {})
    places = Location.objects.filter(id__in=kits).order_by("code")[:200]
    rows = [(page_of(place), kits[place.pk]) for place in places]
    note = "A kit has no stock of its own: a sale holds its parts, all at one location."
    return Panel("Can be had", ("Location", "Kits"), rows, note=note)


def _used_in(variant: Variant) -> Panel:
    uses = BundleComponent.objects.filter(variant=variant, bundle__is_current=True)
    rows = [
        (page_of(use.bundle.variant), use.bundle.get_kind_display(), shown(use.quantity, variant.unit))
        for use in uses.select_related("bundle__variant").order_by("bundle__variant__sku")[:200]
    ]
    return Panel("Component of", ("SKU", "Kind", "Amount in one"), rows, empty="It is in no bundle.")
