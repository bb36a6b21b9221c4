"""Accounts in the look of the back office, tasks that killed their workers, and the pages that stay closed.

The pages of django-q2 are taken away: a schedule is the path of any callable, and its stored tasks are
pickles, so that whoever may edit them runs code on the server.
"""

from typing import ClassVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django_q.models import Failure, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from config import dead_tasks
from config.admin_site import FactsAdmin
from config.models import DeadTask

for model in (Schedule, Success, Failure, User, Group):
    admin.site.unregister(model)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """People who use the back office."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Roles."""


@admin.register(DeadTask)
class DeadTaskAdmin(FactsAdmin):
    """Tasks whose workers died each time; what is signed in them is not shown."""

    list_display = ("task", "takes", "first_at", "last_at")
    list_display_links = ("task",)
    ordering = ("-last_at",)
    actions = ("run_again", "forget")
    detail_actions = ("run_again", "forget")
    fields = ("task", "takes", ("first_at", "last_at"))
    readonly_fields: ClassVar[tuple[str, ...]] = ("task",)

    @admin.display(description="task")
    def task(self, dead: DeadTask) -> str:
        """Names what it calls."""
        return str(dead)

    def has_rerun_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may have tasks run again."""
        return request.user.has_perm("config.rerun_deadtask")

    @admin.action(description="Run again", permissions=["rerun"])
    def run_again(self, request: HttpRequest, queryset: QuerySet[DeadTask]) -> None:
        """Puts tasks back into the queue."""
        done = dead_tasks.run_again(list(queryset.values_list("pk", flat=True)))
        self.report(request, done, "task{s} will be run again")

    @admin.action(description="Forget", permissions=["rerun"])
    def forget(self, request: HttpRequest, queryset: QuerySet[DeadTask]) -> None:
        """Forgets tasks; what there is to do lies in rows and is found anew."""
        done = dead_tasks.forget(list(queryset.values_list("pk", flat=True)))
        self.report(request, done, "task{s} forgotten")
